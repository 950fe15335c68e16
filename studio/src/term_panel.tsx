/* One term, large, and its edits, each previewed on the term and on the deviance explained. */

import { useEffect, useRef, useState } from "preact/hooks";
import { Button } from "./button";
import { digits } from "./numbers";
import { ends, place, spanOf, TermDrawing, type Frame } from "./term_drawing";
import type { AdditiveState, Answer, Message, Term } from "./types";

const SIZE = { width: 320, height: 210 };
const FRAME: Frame = { left: 46, top: 8, right: 312, bottom: 186 };

interface Props {
  state: AdditiveState;
  term: Term | null;
  busy: boolean;
  act: (message: Message) => Promise<Answer | null>;
  ask: (message: Message) => Promise<Answer>;
}

interface Preview {
  before: number;
  after: number;
  term: Term | null;
}

export function TermPanel({ state, term, busy, act, ask }: Props) {
  const [preview, setPreview] = useState<Preview | null>(null);
  const [problem, setProblem] = useState("");
  const [interval, setInterval] = useState({ low: "", high: "", value: "" });
  const [clip, setClip] = useState({ low: "", high: "" });
  const [factor, setFactor] = useState("4");
  const newest = useRef(0);
  const dragged = useRef<number | null>(null);
  const clear = () => {
    newest.current++;
    setPreview(null);
    setProblem("");
  };
  useEffect(() => {
    clear();
    setInterval({ low: "", high: "", value: "" });
    setClip({ low: "", high: "" });
  }, [term?.name, state.current]);
  if (!term) return <p class="empty">Click a term, or press Enter on it, to work with it. All of them share one scale: what looks flat is flat.</p>;

  function look(step: Message): void {
    const mine = ++newest.current;
    ask({ do: "preview", step }).then(
      (answer) => {
        if (mine !== newest.current) return;
        setProblem("");
        setPreview(answer.preview as Preview);
      },
      (error: Error) => mine === newest.current && setProblem(error.message),
    );
  }
  const set = (at = interval): Message => ({ do: "set_values", term: term.name, low: Number(at.low), high: Number(at.high), value: Number(at.value) });
  const clipped = (at = clip): Message => ({ do: "clip_term", term: term.name, low: Number(at.low), high: Number(at.high) });
  const smoothed = (by = factor): Message => ({ do: "smooth_term", term: term.name, factor: Number(by) });
  const full = (at: Record<string, string>) => Object.values(at).every((text) => text.trim() !== "" && Number.isFinite(Number(text)));
  const span = spanOf([term]);
  const curve = term.kind === "curve";
  const round = (x: number) => String(Number(x.toPrecision(4)));

  function point(event: PointerEvent): [number, number] {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * SIZE.width;
    const y = ((event.clientY - box.top) / box.height) * SIZE.height;
    const [low, high] = ends(term as Term);
    const share = Math.max(0, Math.min(1, (x - FRAME.left) / (FRAME.right - FRAME.left)));
    return [low + share * (high - low), span[0] + ((FRAME.bottom - y) / (FRAME.bottom - FRAME.top)) * (span[1] - span[0])];
  }

  return (
    <section aria-label="Term">
      <h2 class="edge-title">{term.name}</h2>
      <p class="soft">{term.kind}{term.shape ? `, ${term.shape}` : ""}: spread {digits(term.spread)}, {digits(term.edf)} degrees of freedom</p>
      <figure class={`chart term ${curve ? "editing" : ""}`}>
        <svg
          viewBox={`0 0 ${SIZE.width} ${SIZE.height}`}
          role="img"
          aria-label={`what ${term.name} adds`}
          onPointerDown={(event: PointerEvent) => {
            if (!curve || busy) return;
            (event.currentTarget as Element).setPointerCapture(event.pointerId);
            dragged.current = point(event)[0];
          }}
          onPointerMove={(event: PointerEvent) => {
            if (dragged.current === null) return;
            const [x, y] = point(event);
            const at = { low: round(Math.min(x, dragged.current)), high: round(Math.max(x, dragged.current)), value: round(y) };
            if (at.low === at.high) return;
            setInterval(at);
            look(set(at));
          }}
          onPointerUp={() => (dragged.current = null)}
        >
          <TermDrawing term={term} span={span} frame={FRAME} over={preview?.term ?? null} axes>
            {curve && full(interval) && <rect class="chosen" x={place(term, FRAME, Number(interval.low))} width={Math.max(0, place(term, FRAME, Number(interval.high)) - place(term, FRAME, Number(interval.low)))} y={FRAME.top} height={FRAME.bottom - FRAME.top} />}
          </TermDrawing>
        </svg>
        <figcaption><span role="status">
          {problem || (preview ? `deviance explained ${digits(preview.before, 4)} → ${digits(preview.after, 4)}` : curve ? "drag over the curve to set it on an interval" : term.kind === "surface" ? `${term.labels[0]} to the right, ${term.labels[1]} up; red above 0, blue below` : `bars: what every level adds${term.omitted ? `; ${term.omitted} more levels` : ""}`)}
        </span></figcaption>
      </figure>
      {term.missing && <p class="soft small">a missing cell adds {digits(term.missing[0])} ({digits(term.missing[1])} to {digits(term.missing[2])})</p>}
      {curve && (
        <>
          <fieldset class="edit">
            <legend>Set on an interval</legend>
            {(["low", "high", "value"] as const).map((name) => (
              <label key={name}>{{ low: "from", high: "to", value: "value" }[name]} <input type="text" inputMode="decimal" value={interval[name]} onInput={(e) => {
                const at = { ...interval, [name]: e.currentTarget.value };
                setInterval(at);
                if (full(at)) look(set(at));
              }} /></label>
            ))}
            <Button off={busy || !full(interval)} press={() => void act(set())}>Set</Button>
          </fieldset>
          <fieldset class="edit">
            <legend>Clip between</legend>
            {(["low", "high"] as const).map((name) => (
              <label key={name}>{{ low: "lowest", high: "highest" }[name]} <input type="text" inputMode="decimal" value={clip[name]} onInput={(e) => {
                const at = { ...clip, [name]: e.currentTarget.value };
                setClip(at);
                if (full(at)) look(clipped(at));
              }} /></label>
            ))}
            <Button off={busy || !full(clip)} press={() => void act(clipped())}>Clip</Button>
          </fieldset>
        </>
      )}
      {term.smooths && (
        <fieldset class="edit">
          <legend>Smooth more</legend>
          <label>times <input type="number" min="1" step="any" value={factor} onFocus={() => look(smoothed())} onInput={(e) => {
            setFactor(e.currentTarget.value);
            if (Number(e.currentTarget.value) >= 1) look(smoothed(e.currentTarget.value));
          }} /></label>
          <Button off={busy || !(Number(factor) >= 1)} press={() => void act(smoothed())}>Smooth</Button>
        </fieldset>
      )}
      <div class="buttons">
        <Button off={busy} onPointerEnter={() => look({ do: "remove_term", term: term.name })} onPointerLeave={clear} press={() => void act({ do: "remove_term", term: term.name })}>Remove <kbd>Del</kbd></Button>
      </div>
    </section>
  );
}
