/* Drawing on a chart: a curve by hand, or points of it that are pulled; each is previewed before it is done. */

import { useEffect, useRef, useState } from "preact/hooks";
import { digits, valueAt } from "./numbers";
import type { Answer, Edge, Message, Preview, Values } from "./types";

export type PenMode = "look" | "draw" | "points";

const HANDLES = 9;
const MOST_POINTS = 60;
const NUDGE = 0.04;

export interface Scale {
  u: (x: number) => number;
  v: (y: number) => number;
  x: (u: number) => number;
  y: (v: number) => number;
  height: number;
}

interface Props {
  edge: Edge;
  mode: PenMode;
  scale: Scale;
  width: number;
  ask: (message: Message) => Promise<Answer>;
  act: (message: Message) => Promise<Answer | null>;
  tell: (text: string) => void;
  setOver: (over: Values | null) => void;
}

/** The layer over a chart that takes the pointer; points are also moved by the arrow keys, Enter does it. */
export function Pen({ edge, mode, scale, width, ask, act, tell, setOver }: Props) {
  const [path, setPath] = useState<[number, number][]>([]);
  const [moved, setMoved] = useState<{ n: number; y: number } | null>(null);
  const layer = useRef<SVGGElement>(null);
  const newest = useRef(0);
  const at = Array.from({ length: HANDLES }, (_, n) => edge.x[0] + ((n + 0.5) / HANDLES) * (edge.x[1] - edge.x[0]));

  useEffect(() => {
    setPath([]);
    setMoved(null);
    setOver(null);
  }, [mode, edge]);

  function preview(step: Message): void {
    const mine = ++newest.current;
    ask({ do: "preview", step }).then((answer) => {
      if (mine !== newest.current) return;
      const seen = answer.preview as Preview;
      setOver(seen.edge?.y ?? null);
      tell(`network error ${digits(seen.before)} → ${digits(seen.error)} before a fit`);
    }, () => undefined);
  }

  function done(step: Message): void {
    newest.current++;
    setOver(null);
    tell("");
    void act(step);
  }

  function place(event: PointerEvent): [number, number] {
    const svg = layer.current?.ownerSVGElement;
    const box = svg?.getBoundingClientRect();
    if (!svg || !box) return [0, 0];
    const [w, h] = [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height];
    const x = scale.x(((event.clientX - box.left) / box.width) * w);
    return [Math.max(edge.x[0], Math.min(edge.x[1], x)), scale.y(((event.clientY - box.top) / box.height) * h)];
  }

  const pull = (n: number, y: number): Message => ({ do: "pull", edge: edge.key, x: at[n] ?? 0, y });
  const pen = mode === "draw"
    ? {
        onPointerDown(event: PointerEvent) {
          (event.currentTarget as Element).setPointerCapture(event.pointerId);
          setPath([place(event)]);
        },
        onPointerMove(event: PointerEvent) {
          if (!path.length) return;
          const next = [...path, place(event)] as [number, number][];
          setPath(next);
          if (next.length % 6 === 0 && spread(next)) preview({ do: "draw", edge: edge.key, points: few(next) });
        },
        onPointerUp() {
          if (spread(path)) done({ do: "draw", edge: edge.key, points: few(path) });
          setPath([]);
        },
      }
    : {};

  return (
    <g ref={layer} class={`pen ${mode}`}>
      {mode === "draw" && <rect class="paper" x="0" y="0" width={width} height={scale.height} {...pen} />}
      {mode === "draw" && path.length > 1 && <path class="ink" d={path.map(([x, y], n) => `${n ? "L" : "M"}${scale.u(x).toFixed(1)} ${scale.v(y).toFixed(1)}`).join("")} />}
      {mode === "points" && at.map((x, n) => {
        const y = moved?.n === n ? moved.y : valueAt(edge, x);
        if (y === null) return null;
        return (
          <circle
            key={n}
            class="handle"
            r="6"
            cx={scale.u(x)}
            cy={scale.v(y)}
            role="slider"
            tabindex={0}
            aria-label={`Curve at ${digits(x)}`}
            aria-orientation="vertical"
            aria-valuenow={Number(y.toPrecision(4))}
            aria-valuetext={digits(y)}
            onPointerDown={(event: PointerEvent) => {
              (event.currentTarget as Element).setPointerCapture(event.pointerId);
              setMoved({ n, y });
            }}
            onPointerMove={(event: PointerEvent) => {
              if (moved?.n !== n || !(event.currentTarget as Element).hasPointerCapture(event.pointerId)) return;
              const to = place(event)[1];
              setMoved({ n, y: to });
              preview(pull(n, to));
            }}
            onPointerUp={() => {
              if (moved?.n === n && moved.y !== valueAt(edge, x)) done(pull(n, moved.y));
              setMoved(null);
            }}
            onKeyDown={(event: KeyboardEvent) => {
              const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
              if (!step && event.key !== "Enter") return;
              event.preventDefault();
              event.stopPropagation();
              if (step) {
                const to = y + step * NUDGE * Math.abs(scale.y(0) - scale.y(scale.height));
                setMoved({ n, y: to });
                preview(pull(n, to));
              } else if (moved?.n === n) {
                done(pull(n, moved.y));
                setMoved(null);
              }
            }}
          />
        );
      })}
    </g>
  );
}

function spread(path: [number, number][]): boolean {
  const xs = path.map(([x]) => x);
  return Math.max(...xs) > Math.min(...xs);
}

/** The last value at every argument of a path that may go back and forth, evenly thinned. */
function few(path: [number, number][]): [number, number][] {
  const last = [...new Map(path).entries()].sort((a, b) => a[0] - b[0]);
  const step = Math.max(1, Math.ceil(last.length / MOST_POINTS));
  return last.filter((_, n) => n % step === 0 || n === last.length - 1);
}
