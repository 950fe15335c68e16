/* The pairs of inputs that have a surface: one is added with a preview of what it explains, or removed. */

import { useEffect, useRef, useState } from "preact/hooks";
import { Button } from "./button";
import { digits } from "./numbers";
import type { AdditiveState, Answer, Message } from "./types";

interface Props {
  state: AdditiveState;
  busy: boolean;
  act: (message: Message) => Promise<Answer | null>;
  ask: (message: Message) => Promise<Answer>;
  show: (term: string) => void;
}

export function PairsPanel({ state, busy, act, ask, show }: Props) {
  const [start] = useState(() => free(state));
  const [first, setFirst] = useState(start[0]);
  const [second, setSecond] = useState(start[1]);
  const [told, setTold] = useState("");
  const newest = useRef(0);
  const known = state.pairs.some((pair) => pair.includes(first) && pair.includes(second));
  const possible = first !== second && !known;
  const step: Message = { do: "add_pair", first, second };
  useEffect(() => {
    const mine = ++newest.current;
    setTold("");
    if (!possible) return;
    const later = setTimeout(() => ask({ do: "preview", step }).then(
      (answer) => {
        const { before, after } = answer.preview as { before: number; after: number };
        if (mine === newest.current) setTold(`deviance explained ${digits(before, 4)} → ${digits(after, 4)}`);
      },
      (error: Error) => mine === newest.current && setTold(error.message),
    ), 150);
    return () => clearTimeout(later);
  }, [first, second, state.current]);
  const surfaces = state.terms.filter((term) => term.kind === "surface");

  return (
    <section class="pairs" aria-label="Pairs">
      <h2>A new pair</h2>
      <div class="stack">
        {([["of", first, setFirst], ["and", second, setSecond]] as const).map(([label, value, set]) => (
          <label key={label}>{label} <select value={value} onChange={(e) => set(e.currentTarget.value)}>
            {state.inputs.map((name) => <option key={name} value={name}>{name}</option>)}
          </select></label>
        ))}
      </div>
      <Button off={busy || !possible} press={() => void act(step).then((done) => done && show(`${first} × ${second}`))}>Add a surface</Button>
      <p class="soft small" role="status">{told || (first === second ? "Two different inputs make a pair." : known ? "This pair has a surface." : "")}</p>
      <p class="soft small">Fitted to what the other terms leave of the kept rows; these terms stay as they are.</p>
      <h2>Pairs of the model</h2>
      {surfaces.length === 0 && <p class="soft small">None.</p>}
      <ul class="quantities">
        {surfaces.map((term) => (
          <li key={term.name}>
            <button type="button" class="inline" onClick={() => show(term.name)}>{term.name}</button>
            <span class="soft small">spread {digits(term.spread)}</span>
            <Button off={busy} aria-label={`Remove ${term.name}`} press={() => void act({ do: "remove_term", term: term.name })}>Remove</Button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The first pair without a surface: terms are sorted by their spread. */
function free(state: AdditiveState): [string, string] {
  const names = state.terms.filter((t) => state.inputs.includes(t.name)).map((t) => t.name);
  for (const b of names) for (const a of names) if (a !== b && names.indexOf(a) < names.indexOf(b) && !state.pairs.some((pair) => pair.includes(a) && pair.includes(b))) return [a, b];
  return [state.inputs[0] ?? "", state.inputs[1] ?? ""];
}
