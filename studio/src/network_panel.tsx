/* What is done to the whole network: fit, prune, refine, shapes and symmetries of the function, allowed functions. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Button } from "./button";
import { digits, path } from "./numbers";
import type { Answer, Message, Preview, State } from "./types";

interface Props {
  state: State;
  busy: boolean;
  losses: number[];
  steps: number;
  setSteps: (steps: number) => void;
  act: (message: Message) => Promise<Answer | null>;
  ask: (message: Message) => Promise<Answer>;
  fit: () => void;
  stop: () => void;
}

export function NetworkPanel({ state, busy, losses, steps, setSteps, act, ask, fit, stop }: Props) {
  return (
    <>
      <Section title="Fit">
        <div class="line-of">
          <label>steps <input type="number" min="5" max="1000" step="5" value={steps} onInput={(e) => setSteps(Number(e.currentTarget.value))} /></label>
          {busy
            ? <button type="button" class="primary" onClick={stop}>Stop <kbd>Esc</kbd></button>
            : <button type="button" class="primary" onClick={fit}>Fit <kbd>F</kbd></button>}
        </div>
        <Losses values={losses} />
      </Section>
      <Prune state={state} busy={busy} act={act} ask={ask} />
      <Refine busy={busy} act={act} />
      <Function state={state} busy={busy} act={act} />
      <Allowed state={state} busy={busy} act={act} />
    </>
  );
}

function Section({ title, children }: { title: string; children: ComponentChildren }) {
  return <section class="tool"><h2>{title}</h2>{children}</section>;
}

/** The errors of the rounds of a fit, on a logarithmic scale. */
function Losses({ values }: { values: number[] }) {
  const logs = values.filter((v) => v > 0).map(Math.log10);
  if (logs.length < 2) return <p class="soft small">All curves, symbols and biases that are not locked move to the least squares error.</p>;
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  return (
    <figure class="losses">
      <svg viewBox="0 0 320 44" role="img" aria-label={`error from ${digits(values[0])} to ${digits(values[values.length - 1])}`}>
        <path d={path(logs, [low, Math.max(high, low + 1e-9)], [2, 4, 318, 40], 1)} />
      </svg>
      <figcaption>error {digits(values[0])} → {digits(values[values.length - 1])}</figcaption>
    </figure>
  );
}

type Tool = Pick<Props, "busy" | "act">;

function Prune({ state, busy, act, ask }: Tool & Pick<Props, "state" | "ask">) {
  const [place, setPlace] = useState(0);
  const [preview, setPreview] = useState<Preview | null>(null);
  const [problem, setProblem] = useState("");
  const least = Number((0.9 * place ** 2).toPrecision(3));
  const newest = useRef(0);
  useEffect(() => {
    setProblem("");
    setPreview(null);
    if (place === 0) return;
    const mine = ++newest.current;
    const later = setTimeout(() => {
      ask({ do: "preview", step: { do: "prune", least } }).then(
        (answer) => mine === newest.current && setPreview(answer.preview as Preview),
        (error: Error) => mine === newest.current && setProblem(error.message),
      );
    }, 120);
    return () => clearTimeout(later);
  }, [place, state.current]);
  const edges = (state.history[state.current]?.curves ?? 0) + (state.history[state.current]?.symbols ?? 0);
  return (
    <Section title="Prune">
      <div class="line-of">
        <label class="grow">score at most <output>{digits(least)}</output>
          <input type="range" min="0" max="1" step="0.01" value={place} onInput={(e) => setPlace(Number(e.currentTarget.value))} />
        </label>
        <Button off={busy || !preview || preview.curves + preview.symbols === edges} press={() => void act({ do: "prune", least }).then(() => setPlace(0))}>Prune</Button>
      </div>
      <p class="soft small" role="status">
        {problem || (preview
          ? `${edges - preview.curves - preview.symbols} of ${edges} edges go; error ${digits(preview.before)} → ${digits(preview.error)} before a fit`
          : "Move the slider to see which weak edges would go.")}
      </p>
    </Section>
  );
}

function Refine({ busy, act }: Tool) {
  const [intervals, setIntervals] = useState(10);
  return (
    <Section title="Refine">
      <div class="line-of">
        <label>grid intervals <input type="number" min="1" max="200" value={intervals} onInput={(e) => setIntervals(Number(e.currentTarget.value))} /></label>
        <Button off={busy} press={() => void act({ do: "refine", intervals })}>Refine</Button>
      </div>
    </Section>
  );
}

function Function({ state, busy, act }: Tool & Pick<Props, "state">) {
  const [shape, setShape] = useState(state.functionShapes[0] ?? "");
  const [first, setFirst] = useState(0);
  const [second, setSecond] = useState(1);
  const [input, setInput] = useState(-1);
  const names = state.inputs.map((i) => i.name);
  return (
    <Section title="The function">
      <div class="line-of">
        <label>is <select value={shape} onChange={(e) => setShape(e.currentTarget.value)}>
          {state.functionShapes.map((s) => <option key={s}>{s}</option>)}
        </select></label>
        <label class="grow">in <select value={input} onChange={(e) => setInput(Number(e.currentTarget.value))}>
          <option value={-1}>all inputs</option>
          {names.map((name, j) => <option key={j} value={j}>{name}</option>)}
        </select></label>
        <Button off={busy} press={() => void act({ do: "constrain", shape, inputs: input < 0 ? [] : [input] })}>Constrain</Button>
      </div>
      {names.length > 1 && (
        <div class="line-of">
          <label class="grow">same in <select value={first} onChange={(e) => setFirst(Number(e.currentTarget.value))}>
            {names.map((name, j) => <option key={j} value={j}>{name}</option>)}
          </select></label>
          <label class="grow">and <select value={second} onChange={(e) => setSecond(Number(e.currentTarget.value))}>
            {names.map((name, j) => <option key={j} value={j}>{name}</option>)}
          </select></label>
          <Button off={busy || first === second} press={() => void act({ do: "symmetric", inputs: [first, second] })}>Symmetric</Button>
        </div>
      )}
      {state.symmetries.length > 0 && <p class="soft small">symmetric: {state.symmetries.map(([p, q]) => `${names[p]} and ${names[q]}`).join("; ")}</p>}
    </Section>
  );
}

function Allowed({ state, busy, act }: Tool & Pick<Props, "state">) {
  return (
    <Section title="Allowed functions">
      <ul class="chips">
        {state.library.map((name) => (
          <li key={name}>
            <Button off={busy} aria-label={`Forbid ${name}`} title={`Forbid ${name}`} press={() => void act({ do: "forbid", names: [name] })}>{name} <span aria-hidden="true">×</span></Button>
          </li>
        ))}
      </ul>
    </Section>
  );
}
