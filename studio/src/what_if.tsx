/* "What if": a slider per input; the prediction, and a dot on every curve where this row lies. */

import { useEffect, useRef, useState } from "preact/hooks";
import { digits } from "./numbers";
import type { Answer, Message, State } from "./types";

interface Props {
  state: State;
  ask: (message: Message) => Promise<Answer>;
  setAt: (at: (number | null)[][] | null) => void;
}

export function WhatIf({ state, ask, setAt }: Props) {
  const [row, setRow] = useState(() => state.inputs.map((input) => input.middle));
  const [outputs, setOutputs] = useState<(number | null)[]>([]);
  const [within, setWithin] = useState<(number | null)[]>([]);
  const newest = useRef(0);
  useEffect(() => {
    const mine = ++newest.current;
    ask({ do: "predict", x: row }).then((answer) => {
      if (mine !== newest.current) return;
      setOutputs(answer.outputs as (number | null)[]);
      setWithin(answer.within as (number | null)[]);
      setAt(answer.at as (number | null)[][]);
    }, () => undefined);
  }, [row, state.current]);
  useEffect(() => () => setAt(null), []);

  return (
    <section class="what-if">
      <dl>
        {state.outputs.map((name, n) => (
          <div key={n}><dt>{name}</dt><dd aria-live="polite">{digits(outputs[n], 5)} {typeof within[n] === "number" && <span class="within">± {digits(within[n], 2)}</span>}</dd></div>
        ))}
      </dl>
      <p class="soft small">{typeof within[0] === "number" ? `±: nine of ten ${state.heldRows ? "rows that no step sees" : "rows"} are within it${state.heldRows ? "" : "; new rows are less often, for the steps have seen these"}.` : "Too few rows for an interval."}</p>
      {state.inputs.map((input, j) => (
        <label key={j}>
          <span class="name">{input.name}</span> <output>{digits(row[j], 4)}</output>
          <input
            type="range"
            min={input.low}
            max={input.high}
            step={input.whole ? 1 : (input.high - input.low) / 500 || 1}
            value={row[j]}
            onInput={(e) => {
              const value = Number(e.currentTarget.value);
              setRow((now) => now.map((v, k) => (k === j ? value : v)));
            }}
          />
        </label>
      ))}
      <button type="button" onClick={() => setRow(state.inputs.map((input) => input.middle))}>Medians</button>
    </section>
  );
}
