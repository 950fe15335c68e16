/* The front of error against length: formulas that a search found, and the states of this session that are formulas. */

import { useState } from "preact/hooks";
import { Button } from "./button";
import { MathML } from "./mathml";
import { digits, ticks } from "./numbers";
import type { Answer, Branch, Found, Message, State } from "./types";

interface Props {
  state: State;
  busy: boolean;
  searching: string;
  act: (message: Message) => Promise<Answer | null>;
  stop: () => void;
}

interface Point {
  length: number;
  error: number;
  label: string;
  found: Found | null;
  branch: Branch | null;
}

const SIZE = { width: 320, height: 180, left: 46, right: 10, top: 10, bottom: 34 };

export function FrontPanel({ state, busy, searching, act, stop }: Props) {
  const [seconds, setSeconds] = useState(20);
  const [text, setText] = useState("");
  const [pointed, setPointed] = useState<Point | null>(null);
  const points = pointsOf(state);
  const adopt = (found: Found) => void act({ do: "adopt", expressions: found.expressions });
  const choose = (point: Point) => {
    if (point.branch) void act({ do: "goto", state: point.branch.id });
    else if (point.found) adopt(point.found);
  };
  return (
    <>
      <section class="tool">
        <h2>Error against length</h2>
        {points.length
          ? <Scatter points={points} current={state.current} busy={busy} choose={choose} setPointed={setPointed} />
          : <p class="soft">No formula yet. Search for some, write one, or replace all curves by functions.</p>}
        <p class="soft small" role="status">{pointed ? pointed.label : points.length ? "○ found, ● states of this session; click one to work with it. Length: operations and constants." : ""}</p>
      </section>
      <section class="tool">
        <h2>Search</h2>
        <div class="line-of">
          <label>at most <input type="number" min="1" max="3600" value={seconds} onInput={(e) => setSeconds(Number(e.currentTarget.value))} /> s</label>
          {busy
            ? <button type="button" onClick={stop}>Stop <kbd>Esc</kbd></button>
            : <button type="button" class="primary" onClick={() => void act({ do: "search", seconds: Math.max(1, Math.min(3600, seconds || 20)) })}>Search formulas</button>}
        </div>
        <p class="soft small" role="status">{searching || "Short formulas of the columns themselves, whatever the network is."}</p>
        {state.outputs.length === 1 && (
          <form
            class="line-of"
            onSubmit={(event) => {
              event.preventDefault();
              void act({ do: "adopt", expressions: [text] }).then((done) => done && setText(""));
            }}
          >
            <label class="grow">your own <input type="text" spellcheck={false} autocomplete="off" maxLength={4000} placeholder={`${state.outputs[0]} = …`} value={text} onInput={(e) => setText(e.currentTarget.value)} /></label>
            <Button type="submit" off={busy || !text.trim()}>Adopt</Button>
          </form>
        )}
      </section>
      {state.found.length > 0 && (
        <section class="tool">
          <h2>Formulas</h2>
          <ul class="found">
            {state.found.map((found) => (
              <li key={found.expressions.join("\n")}>
                <Button off={busy || !!found.reason} title={found.reason || found.origin} press={() => adopt(found)}>
                  <span class="unseen">Adopt </span>
                  <MathML equations={found.mathml} />
                  <span class="soft small">length {found.length} · error {found.reason ? "?" : digits(found.error)}{found.heldError !== null ? `, other rows ${digits(found.heldError)}` : ""}</span>
                  {found.reason && <span class="bad small">cannot be worked on: {found.reason}</span>}
                </Button>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

interface ScatterProps {
  points: Point[];
  current: number;
  busy: boolean;
  choose: (point: Point) => void;
  setPointed: (point: Point | null) => void;
}

function Scatter({ points, current, busy, choose, setPointed }: ScatterProps) {
  const lengths = points.map((p) => p.length);
  const logs = points.map((p) => Math.log10(p.error));
  const [low, high] = [Math.min(0, ...lengths), Math.max(...lengths) + 1];
  const [bottom, top] = [Math.min(...logs) - 0.15, Math.max(...logs) + 0.15];
  const u = (length: number) => SIZE.left + ((length - low) / (high - low)) * (SIZE.width - SIZE.left - SIZE.right);
  const v = (log: number) => SIZE.height - SIZE.bottom - ((log - bottom) / (top - bottom)) * (SIZE.height - SIZE.top - SIZE.bottom);
  const front = [...points].sort((a, b) => a.length - b.length || a.error - b.error).reduce<Point[]>((kept, p) => (kept.length && p.error >= (kept[kept.length - 1]?.error ?? 0) ? kept : [...kept, p]), []);
  return (
    <figure class="chart front">
      <svg viewBox={`0 0 ${SIZE.width} ${SIZE.height}`} role="group" aria-label="Error against length">
        {ticks(bottom, top).map((log) => (
          <g key={`y${log}`}>
            <path class="grid" d={`M${SIZE.left} ${v(log)}H${SIZE.width - SIZE.right}`} />
            <text x={SIZE.left - 5} y={v(log) + 3} text-anchor="end">{digits(10 ** log, 2)}</text>
          </g>
        ))}
        {ticks(low, high).filter(Number.isInteger).map((n) => <text key={`x${n}`} x={u(n)} y={SIZE.height - SIZE.bottom + 14} text-anchor="middle">{n}</text>)}
        <text x={(SIZE.left + SIZE.width) / 2} y={SIZE.height - 4} text-anchor="middle">length</text>
        <path class="steps" d={front.map((p, n) => `${n ? "H" : "M"}${u(p.length)}${n ? "V" : " "}${v(Math.log10(p.error))}`).join("")} />
        {points.map((point) => (
          <g
            key={point.label}
            class={`point${point.branch ? " own" : ""}${point.branch?.id === current ? " current" : ""}`}
            role="button"
            tabindex={0}
            aria-disabled={busy}
            aria-label={point.label}
            onPointerEnter={() => setPointed(point)}
            onPointerLeave={() => setPointed(null)}
            onFocus={() => setPointed(point)}
            onBlur={() => setPointed(null)}
            onClick={() => !busy && choose(point)}
            onKeyDown={(event: KeyboardEvent) => {
              if (event.key !== "Enter" && event.key !== " ") return;
              event.preventDefault();
              event.stopPropagation();
              if (!busy) choose(point);
            }}
          >
            <circle class="reach" r="12" cx={u(point.length)} cy={v(Math.log10(point.error))} />
            <circle class="disc" r="4.5" cx={u(point.length)} cy={v(Math.log10(point.error))} />
          </g>
        ))}
      </svg>
    </figure>
  );
}

function pointsOf(state: State): Point[] {
  const floor = 1e-16 * (state.scale || 1);
  const found = state.found.flatMap((f): Point[] => f.error === null ? [] : [{
    length: f.length, error: Math.max(f.error, floor), found: f, branch: null,
    label: `${f.text.replaceAll("\n", "; ")}: length ${f.length}, error ${digits(f.error)} (${f.origin})`,
  }]);
  const own = state.history.flatMap((b): Point[] => b.length === null || b.error === null ? [] : [{
    length: b.length, error: Math.max(b.error, floor), found: null, branch: b,
    label: `state ${b.id}, ${b.name || b.step}: length ${b.length}, error ${digits(b.error)}`,
  }]);
  return [...found, ...own];
}
