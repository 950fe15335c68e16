/* What the network reads: inputs left out or combined, and the units of all quantities. */

import { useEffect, useState } from "preact/hooks";
import { Button } from "./button";
import { digits } from "./numbers";
import type { Answer, Message, State } from "./types";

interface Props {
  state: State;
  busy: boolean;
  act: (message: Message) => Promise<Answer | null>;
}

export function InputsPanel({ state, busy, act }: Props) {
  const [formula, setFormula] = useState("");
  const [name, setName] = useState("");
  const read = new Set(state.network.edges.filter((e) => e.key[0] === 0).map((e) => e.key[1]));
  const some = state.names.slice(0, 2).map(quoted);
  return (
    <>
      <section class="tool">
        <h2>A new input</h2>
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void act({ do: "combine", formula, name }).then((done) => {
              if (!done) return;
              setFormula("");
              setName("");
            });
          }}
        >
          <label>formula of inputs
            <input type="text" spellcheck={false} autocomplete="off" required maxLength={4000} placeholder={some.length > 1 ? `${some[0]}*${some[1]}` : `${some[0]}**2`} value={formula} onInput={(e) => setFormula(e.currentTarget.value)} />
          </label>
          <div class="line-of">
            <label class="grow">name <input type="text" spellcheck={false} autocomplete="off" maxLength={60} placeholder="the formula" value={name} onInput={(e) => setName(e.currentTarget.value)} /></label>
            <Button type="submit" off={busy || !formula.trim()}>Combine</Button>
          </div>
          {state.names.length > 1 && (
            <div class="chips" role="group" aria-label="Formulas of two inputs">
              {["*", "-", "/"].map((sign) => (
                <button key={sign} type="button" onClick={() => setFormula(some.join(` ${sign} `))}>{`a ${sign.replace("-", "−").replace("*", "×")} b`}</button>
              ))}
              {state.names.map((n, j) => <button key={`n${j}`} type="button" title={`add ${n}`} onClick={() => setFormula((f) => f + quoted(n))}>{n}</button>)}
            </div>
          )}
          <p class="soft small">Its curves are zero at first, so that nothing changes before a fit. + − * / **, sin, exp, log, sqrt, abs and so on.</p>
        </form>
      </section>
      <section class="tool">
        <h2>Quantities</h2>
        <ul class="quantities">
          {state.names.map((n, j) => (
            <li key={n} class={read.has(j) ? "" : "unread"}>
              <span class="name" title={n}>{n}</span>
              {j < state.inputs.length ? <Unit state={state} name={n} busy={busy} act={act} /> : <span class="soft small">combined</span>}
              <Button off={busy || !read.has(j)} aria-label={`Exclude ${n}`} press={() => void act({ do: "exclude", inputs: [j] })}>{read.has(j) ? "Exclude" : "not read"}</Button>
              {j < state.inputs.length && <span class="soft small range">{digits(state.inputs[j]?.low)} to {digits(state.inputs[j]?.high)}</span>}
            </li>
          ))}
          {state.outputs.map((n) => (
            <li key={`out ${n}`}>
              <span class="name" title={n}><b>{n}</b></span>
              <Unit state={state} name={n} busy={busy} act={act} />
              <span class="soft small">output</span>
            </li>
          ))}
        </ul>
        <p class={state.formula.misfit ? "bad small" : "soft small"} role="status">{verdict(state)}</p>
      </section>
    </>
  );
}

function Unit({ state, name, busy, act }: Props & { name: string }) {
  const known = state.units[name] ?? "";
  const [text, setText] = useState(known);
  useEffect(() => setText(known), [known]);
  const send = () => {
    if (text.trim() && text !== known) void act({ do: "measure", units: { [name]: text } }).then((done) => !done && setText(known));
  };
  return (
    <input
      class="unit"
      type="text"
      aria-label={`Unit of ${name}`}
      placeholder="unit"
      maxLength={60}
      spellcheck={false}
      readOnly={busy}
      value={text}
      onInput={(e) => setText(e.currentTarget.value)}
      onBlur={send}
      onKeyDown={(e) => {
        if (e.key === "Enter") e.currentTarget.blur();
      }}
    />
  );
}

function verdict(state: State): string {
  if (!Object.keys(state.units).length) return "Units such as m/s^2, kg, 1: the formula is then checked for them.";
  if (state.formula.curves) return "Units are checked once no curve is left.";
  if (state.formula.misfit) return `units do not fit: ${state.formula.misfit}`;
  const missing = [...state.inputs.map((i) => i.name), ...state.outputs].filter((n) => !(n in state.units));
  return missing.length ? `Without a unit: ${missing.join(", ")}.` : "The units of the formula fit.";
}

/** A name as formulas read it. */
export function quoted(name: string): string {
  return /^[A-Za-z]\w*$/.test(name) && !/^(E|I|pi|beta|gamma|zeta)$/.test(name) ? name : `\`${name.replace(/[\\`]/g, "\\$&")}\``;
}
