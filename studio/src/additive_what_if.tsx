/* "What if" of an additive model: a control per column, the prediction with its interval, and what every term adds. */

import { useEffect, useRef, useState } from "preact/hooks";
import { digits } from "./numbers";
import type { AdditiveState, Answer, Column, Message } from "./types";

type Cell = number | string | null;

interface Props {
  state: AdditiveState;
  ask: (message: Message) => Promise<Answer>;
}

interface Said {
  outputs: (number | null)[];
  interval: "outcome" | "mean" | "";
  low: (number | null)[] | null;
  high: (number | null)[] | null;
  level: number;
  adds: Record<string, number | null>;
}

export function AdditiveWhatIf({ state, ask }: Props) {
  const [row, setRow] = useState<Cell[]>(() => state.columns.map(usual));
  const [said, setSaid] = useState<Said | null>(null);
  const [problem, setProblem] = useState("");
  const newest = useRef(0);
  useEffect(() => {
    const mine = ++newest.current;
    ask({ do: "predict", x: row }).then((answer) => {
      if (mine !== newest.current) return;
      setProblem("");
      setSaid(answer as unknown as Said);
    }, (error: Error) => mine === newest.current && setProblem(error.message));
  }, [row, state.current]);
  const put = (j: number, cell: Cell) => setRow((now) => now.map((v, k) => (k === j ? cell : v)));
  const most = Math.max(1e-12, ...Object.values(said?.adds ?? {}).map((v) => Math.abs(v ?? 0)));

  return (
    <section class="what-if" aria-label="What if">
      <dl>
        {state.means.map((name, n) => (
          <div key={n}>
            <dt>{name}</dt>
            <dd aria-live="polite">
              {digits(said?.outputs[n], 5)}
              {said?.low && said.high && <span class="within"> {digits(said.low[n], 4)} to {digits(said.high[n], 4)}</span>}
            </dd>
          </div>
        ))}
      </dl>
      <p class="soft small" role="status">{problem || explained(said)}</p>
      {state.columns.map((column, j) => <Control key={j} column={column} cell={row[j] ?? null} put={(cell) => put(j, cell)} />)}
      <button type="button" onClick={() => setRow(state.columns.map(usual))}>Usual row</button>
      <h2>What every term adds</h2>
      <ul class="adds">
        {state.terms.map((term) => {
          const value = said?.adds[term.name] ?? 0;
          const wide = (48 * Math.abs(value)) / most;
          return (
            <li key={term.name}>
              <span class="name" title={term.name}>{term.name}</span>
              <svg viewBox="-50 0 100 10" aria-hidden="true"><rect class={value < 0 ? "less" : "more"} x={value < 0 ? -wide : 0} width={wide} height="10" /><path d="M0 0V10" /></svg>
              <span class="number">{digits(value)}</span>
            </li>
          );
        })}
      </ul>
      {state.family !== "gaussian" && <p class="soft small">on the scale of the link, of the first output</p>}
    </section>
  );
}

function explained(said: Said | null): string {
  if (!said?.interval) return "";
  const share = `${digits(100 * said.level)} %`;
  return said.interval === "outcome" ? `A new outcome lies between the two with ${share}.` : `The expected outcome lies between the two with ${share}.`;
}

interface ControlProps {
  column: Column;
  cell: Cell;
  put: (cell: Cell) => void;
}

/** A slider, or the levels of a text; either may be missing. */
function Control({ column, cell, put }: ControlProps) {
  const { low = 0, high = 1 } = column;
  const day = column.kind === "date";
  const shown = cell === null ? "missing" : day ? new Date(Number(cell) * 864e5).toISOString().slice(0, 10) : digits(Number(cell), 4);
  return (
    <div class="control">
      {column.kind === "level" ? (
        <label><span class="name">{column.name}</span> <select value={cell === null ? "" : String(cell)} onChange={(e) => put(e.currentTarget.value)}>
          {cell === null && <option value="">missing</option>}
          {(column.levels ?? []).map((level) => <option key={level} value={level}>{level}</option>)}
        </select></label>
      ) : (
        <label>
          <span class="name">{column.name}</span> <output>{shown}</output>
          <input type="range" min={low} max={high} step={column.whole || day ? 1 : (high - low) / 500 || 1} value={cell === null ? column.middle : Number(cell)} onInput={(e) => put(Number(e.currentTarget.value))} />
        </label>
      )}
      <button type="button" class="gap" aria-pressed={cell === null} aria-label={`${column.name} is missing`} title="a missing cell" onClick={() => put(cell === null ? usual(column) : null)}>?</button>
    </div>
  );
}

/** The middle of numbers and dates, the most frequent level of texts. */
function usual(column: Column): Cell {
  return column.kind === "level" ? (column.levels?.[0] ?? null) : (column.middle ?? null);
}
