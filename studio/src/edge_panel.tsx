/* One edge: its curve, what can be done with it, and the functions that explain it, each with the whole network's error. */

import { useEffect, useState } from "preact/hooks";
import { Button } from "./button";
import { Chart } from "./chart";
import { edgeTitle, sourceOf, tagOf } from "./network";
import { digits, keyText, share, symbolText } from "./numbers";
import type { PenMode } from "./pen";
import type { Answer, Candidate, Edge, Message, State } from "./types";

interface Props {
  state: State;
  edge: Edge | null;
  hovered: boolean;
  marked: string[];
  busy: boolean;
  at: number | null;
  candidates: Candidate[] | null;
  act: (message: Message) => Promise<Answer | null>;
  ask: (message: Message) => Promise<Answer>;
  mode: PenMode;
  setMode: (mode: PenMode) => void;
  clearMarks: () => void;
}

export function EdgePanel({ state, edge, hovered, marked, busy, at, candidates, act, ask, mode, setMode, clearMarks }: Props) {
  const [over, setOver] = useState<Candidate | null>(null);
  const [slope, setSlope] = useState(false);
  useEffect(() => setOver(null), [edge && keyText(edge.key), state.current]);

  const sharing = marked.length > 1 && (
    <p class="sharing">
      <Button class="primary" off={busy} press={() => void act({ do: "share", edges: marked.map((k) => k.split(",").map(Number)) }).then(clearMarks)}>
        Share one function on {marked.length} edges
      </Button>{" "}
      <button type="button" onClick={clearMarks}>Clear</button>
    </p>
  );
  if (!edge)
    return (
      <>
        {sharing}
        <p class="empty">Point at an edge to see its curve; click it, or press Enter on it, to work with it. Shift and click mark several edges to share one function.</p>
      </>
    );
  const source = sourceOf(state.network, edge);
  const error = state.history[state.current]?.error ?? null;
  const symbol = symbolText(edge, source?.name || "x");
  return (
    <>
      {sharing}
      <h2 class="edge-title">{edgeTitle(state.network, edge)}</h2>
      <p class={edge.kind === "symbol" ? "symbol-text" : "soft"}>
        {symbol || `curve ${tagOf(edge)}`}
        {edge.shape ? `, ${edge.shape}` : ""}
        {edge.shared.length ? `, shares its function with ${edge.shared.length} other ${edge.shared.length === 1 ? "edge" : "edges"}` : ""}
        {edge.locked ? ", locked" : ""}
      </p>
      <Chart edge={edge} over={over?.y ?? null} slope={slope} at={at} title={`curve of ${edgeTitle(state.network, edge)}`} pen={!hovered && !edge.locked && edge.kind === "curve" ? { mode, ask, act } : undefined} />
      <p class="facts">
        <span>score {digits(edge.score)}</span>
        <label><input type="checkbox" checked={slope} onChange={(e) => setSlope(e.currentTarget.checked)} /> slope</label>
      </p>
      {!hovered && (
        <>
          <div class="buttons" role="group" aria-label="Edge">
            <Button off={busy} press={() => void act({ do: edge.locked ? "unlock" : "lock", edges: [edge.key] })}>{edge.locked ? "Unlock" : "Lock"} <kbd>L</kbd></Button>
            {edge.kind === "symbol" && <Button off={busy || edge.locked} press={() => void act({ do: "release", edge: edge.key })}>Release <kbd>E</kbd></Button>}
            <Button off={busy || edge.locked} press={() => void act({ do: "remove", edge: edge.key })}>Remove <kbd>Del</kbd></Button>
            {edge.kind === "curve" && (["draw", "points"] as const).map((name) => (
              <Button key={name} off={edge.locked} aria-pressed={mode === name} press={() => setMode(mode === name ? "look" : name)}>{name === "draw" ? "Draw" : "Points"} <kbd>{name === "draw" ? "D" : "P"}</kbd></Button>
            ))}
            {edge.kind === "curve" && (
              <select
                aria-label="Shape of the curve"
                disabled={edge.locked}
                value=""
                onChange={(e) => {
                  const shape = e.currentTarget.value;
                  e.currentTarget.value = "";
                  if (shape && !busy) void act({ do: "shape", edge: edge.key, shape });
                }}
              >
                <option value="">Shape …</option>
                {state.shapes.map((shape) => <option key={shape} value={shape}>{shape}</option>)}
              </select>
            )}
          </div>
          {mode === "look" && <Candidates edge={edge} error={error} list={candidates} busy={busy} act={act} over={over} setOver={setOver} />}
        </>
      )}
      {hovered && <Best list={candidates} error={error} />}
    </>
  );
}

/** The first candidates of an edge that is only pointed at. */
function Best({ list, error }: { list: Candidate[] | null; error: number | null }) {
  if (!list) return <p class="soft small" role="status">keep pointing at it for its functions …</p>;
  return (
    <table class="best">
      <caption class="soft small">best functions; network error {digits(error)} now</caption>
      <thead><tr><th scope="col">function</th><th scope="col">bits</th><th scope="col">R² of curve</th><th scope="col">error</th></tr></thead>
      <tbody>
        {list.slice(0, 6).map((c) => <tr key={c.name}><th scope="row">{c.name}</th><td>{digits(c.score)}</td><td>{share(c.r2)}</td><td>{digits(c.error)}</td></tr>)}
      </tbody>
    </table>
  );
}

interface ListProps {
  edge: Edge;
  error: number | null;
  list: Candidate[] | null;
  busy: boolean;
  act: (message: Message) => Promise<Answer | null>;
  over: Candidate | null;
  setOver: (candidate: Candidate | null) => void;
}

function Candidates({ edge, error, list, busy, act, over, setOver }: ListProps) {
  if (!list) return <p class="soft" role="status">searching for functions …</p>;
  if (!list.length) return <p class="soft">No allowed function is defined on the whole range of this edge.</p>;
  return (
    <section class="candidates" aria-label="Functions for this edge">
      <div class="row head" aria-hidden="true"><span /><span>fix to</span><span title="description length: the smaller the better">bits</span><span>R² of curve</span><span title="of the whole network">error</span></div>
      <ul onPointerLeave={() => setOver(null)}>
        {list.map((candidate, n) => (
          <li key={candidate.name}>
            <Button
              class={`row${candidate === over ? " over" : ""}${candidate.name === edge.symbol ? " own" : ""}`}
              off={busy || edge.locked}
              onPointerEnter={() => setOver(candidate)}
              onFocus={() => setOver(candidate)}
              onBlur={() => setOver(null)}
              press={() => void act({ do: "fix", edge: edge.key, name: candidate.name })}
            >
              <span aria-hidden="true">{n < 9 && <kbd>{n + 1}</kbd>}</span>
              <b><span class="unseen">Fix to </span>{candidate.name}</b>
              <span><span class="unseen">bits </span>{digits(candidate.score)}</span>
              <span><span class="unseen">R squared </span>{share(candidate.r2)}</span>
              <span><span class="unseen">network error </span>{digits(candidate.error)}</span>
            </Button>
          </li>
        ))}
      </ul>
      <p class="soft small">The error of the whole network is {digits(error)} now; a fit comes after the fix. Bits: what curve and function take to write down, fewer is better evidence.</p>
    </section>
  );
}
