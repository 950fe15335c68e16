/* The network: boxes with curves between nodes; wheel to zoom, drag to move, arrows to go from edge to edge. */

import { Component } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button } from "./button";
import { useDrag, useWheel, zoomed } from "./drag";
import { digits, keyText, nodeText, path, range, sameKey, valueAt } from "./numbers";
import type { Edge, Key, Network, Node, NodeKey } from "./types";

const BOX = { width: 1.25, height: 0.8 };
const NAME_SIZE = 0.34;
const LETTERS = 24;
/** A padlock, 0.17 wide and 0.2 high. */
const LOCK = "M0 .09h.17v.11h-.17zM.035 .09v-.03a.05 .05 0 0 1 .1 0v.03";
const MARKS: Record<string, string> = {
  increasing: "↗", decreasing: "↘", convex: "∪", concave: "∩", "increasing convex": "↗∪", "increasing concave": "↗∩",
  even: "±", odd: "∓",
};

export type Box = [x: number, y: number, width: number, height: number];

interface Props {
  network: Network;
  label: string;
  selected?: Key | null;
  marked?: string[];
  at?: (number | null)[][] | null;
  onHover?: (key: Key | null) => void;
  onSelect?: (key: Key | null, more: boolean) => void;
  node?: NodeKey | null;
  onNode?: (key: NodeKey) => void;
}

export function NetworkView({ network, label, selected = null, marked = [], at = null, onHover, onSelect, node: chosen = null, onNode }: Props) {
  const svg = useRef<SVGSVGElement>(null);
  const whole = useMemo(() => bounds(network), [network]);
  const [view, setView] = useState<Box | null>(null);
  const [focus, setFocus] = useState<string | null>(null);
  const labels = useMemo(() => network.edges.map((edge) => edgeLabel(network, edge)), [network]);
  const shown = view ?? whole;
  const dragging = useDrag(svg, shown, setView);
  const first = focus ?? (selected ? keyText(selected) : network.edges[0] ? keyText(network.edges[0].key) : "");

  useEffect(() => setView(null), [network.width, network.height]);
  useWheel(svg, shown, whole, setView);

  function zoom(factor: number): void {
    setView(zoomed(shown, whole, factor, [shown[0] + shown[2] / 2, shown[1] + shown[3] / 2]));
  }

  function keys(event: KeyboardEvent): void {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "+" || event.key === "=") zoom(0.8);
    else if (event.key === "-") zoom(1.25);
    else if (event.key === "0") setView(null);
    else if (step) {
      const next = neighbour(places(network), first, step as [number, number]);
      if (next) {
        setFocus(next);
        svg.current?.querySelector<SVGGElement>(`[data-key="${next}"]`)?.focus();
      }
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  return (
    <div class="network">
      <svg
        ref={svg}
        viewBox={shown.join(" ")}
        role="group"
        aria-label={label}
        {...dragging}
        onClick={(e: MouseEvent) => {
          if (e.target === e.currentTarget) onSelect?.(null, false);
        }}
        onKeyDown={keys}
      >
        <Wires network={network} selected={selected} />
        {network.edges.map((edge, n) => {
          const key = keyText(edge.key);
          return (
            <EdgeBox
              key={key}
              edge={edge}
              label={labels[n] ?? ""}
              selected={sameKey(edge.key, selected)}
              marked={marked.includes(key)}
              tabbable={!!onSelect && key === first}
              at={at?.[edge.key[0]]?.[edge.key[1]] ?? null}
              active={!!onSelect}
              onHover={onHover}
              onSelect={onSelect}
              onFocus={setFocus}
            />
          );
        })}
        {network.nodes.map((node) => {
          const key = nodeText([node.layer, node.index, node.kind]);
          const selected = !!chosen && nodeText(chosen) === key;
          return <NodeMark key={key} node={node} selected={selected} tabbable={key === first} onNode={node.kind === "factor" ? undefined : onNode} onFocus={setFocus} />;
        })}
      </svg>
      {network.note && <p class="hint">{network.note}</p>}
      <div class="zoom" role="group" aria-label="Zoom">
        <button type="button" aria-label="Zoom in" onClick={() => zoom(0.8)}>+</button>
        <button type="button" aria-label="Zoom out" onClick={() => zoom(1.25)}>−</button>
        <Button aria-label="Show the whole network" off={!view} press={() => setView(null)}>⤢</Button>
      </div>
    </div>
  );
}

interface BoxProps {
  edge: Edge;
  label: string;
  selected: boolean;
  marked: boolean;
  tabbable: boolean;
  active: boolean;
  at: number | null;
  onHover: ((key: Key | null) => void) | undefined;
  onSelect: ((key: Key | null, more: boolean) => void) | undefined;
  onFocus: (key: string) => void;
}

/** One edge; drawn again only when something of it changes, so that 200 of them follow the pointer. */
class EdgeBox extends Component<BoxProps> {
  override shouldComponentUpdate(next: BoxProps): boolean {
    const now = this.props;
    return (["edge", "label", "selected", "marked", "tabbable", "active", "at"] as const).some((k) => now[k] !== next[k]);
  }

  override render({ edge, label, selected, marked, tabbable, active, at }: BoxProps) {
    const [x, y] = edge.center;
    const [left, top] = [x - BOX.width / 2, y - BOX.height / 2];
    const inside: [number, number, number, number] = [left + 0.09, top + 0.1, left + BOX.width - 0.09, top + BOX.height - 0.14];
    const span = range(edge.band ? [edge.y, ...edge.band] : [edge.y]);
    const strength = 0.25 + 0.75 * Math.sqrt(edge.importance);
    const value = at === null ? null : valueAt(edge, at);
    const share = at === null ? 0 : Math.max(0, Math.min(1, (at - edge.x[0]) / (edge.x[1] - edge.x[0] || 1)));
    const tag = tagOf(edge);
    const interaction = active
      ? {
          role: "button" as const,
          tabindex: tabbable ? 0 : -1,
          "aria-pressed": selected,
          onPointerEnter: () => this.props.onHover?.(edge.key),
          onPointerLeave: () => this.props.onHover?.(null),
          onFocus: () => {
            this.props.onFocus(keyText(edge.key));
            this.props.onHover?.(edge.key);
          },
          onClick: (event: MouseEvent) => this.props.onSelect?.(edge.key, event.shiftKey || event.ctrlKey || event.metaKey),
          onKeyDown: (event: KeyboardEvent) => {
            if (event.key !== "Enter" && event.key !== " ") return;
            event.preventDefault();
            event.stopPropagation();
            this.props.onSelect?.(edge.key, event.shiftKey);
          },
        }
      : { role: "img" as const };
    return (
      <g class={`edge ${edge.kind}${selected ? " selected" : ""}${marked ? " marked" : ""}`} data-key={keyText(edge.key)} aria-label={label} {...interaction}>
        <rect class="box" x={left} y={top} width={BOX.width} height={BOX.height} rx="0.12" />
        <path class="density" d={bars(edge.density, left + 0.09, left + BOX.width - 0.09, top + BOX.height - 0.03, 0.12)} />
        {edge.band && <path class="band" d={bandPath(edge, span, inside)} />}
        <path class="line" d={path(edge.y, span, inside)} stroke-opacity={strength} />
        {value !== null && (
          <circle
            class="dot"
            r="0.07"
            cx={inside[0] + share * (inside[2] - inside[0])}
            cy={inside[3] - ((value - span[0]) / (span[1] - span[0])) * (inside[3] - inside[1])}
          />
        )}
        <text class="tag" x={left + 0.06} y={top - 0.07}>{tag}</text>
        <text class="state" aria-hidden="true" x={left + BOX.width - (edge.locked ? 0.26 : 0.06)} y={top - 0.07}>
          {(edge.shape ? MARKS[edge.shape] ?? "" : "") + (edge.shared.length ? " ≡" : "")}
        </text>
        {edge.locked && <path class="lock" transform={`translate(${left + BOX.width - 0.23} ${top - 0.25})`} d={LOCK} />}
      </g>
    );
  }
}

class Wires extends Component<{ network: Network; selected: Key | null }> {
  override shouldComponentUpdate(next: { network: Network; selected: Key | null }): boolean {
    return next.network !== this.props.network || next.selected !== this.props.selected;
  }

  override render({ network, selected }: { network: Network; selected: Key | null }) {
    return (
      <g class="wires">
        {network.edges.map((edge) => {
          const [x, y] = edge.center;
          const [a, b] = [sourceOf(network, edge), targetOf(network, edge)];
          const d = (a ? cubic(a.x + radius(a), a.y, x - BOX.width / 2, y) : "") + (b ? cubic(x + BOX.width / 2, y, b.x - radius(b), b.y) : "");
          return (
            <path
              key={keyText(edge.key)}
              class={`${edge.kind}${sameKey(edge.key, selected) ? " selected" : ""}`}
              d={d}
              stroke-opacity={0.2 + 0.6 * Math.sqrt(edge.importance)}
            />
          );
        })}
        {network.nodes
          .filter((node) => node.kind === "factor")
          .map((node) => {
            const product = network.nodes.find((n) => n.layer === node.layer && n.kind === "product" && n.index === node.product);
            return product && <path key={`${node.layer} ${node.index}`} class="product" d={cubic(node.x + radius(node), node.y, product.x - radius(product), product.y)} />;
          })}
      </g>
    );
  }
}

interface MarkProps {
  node: Node;
  selected: boolean;
  tabbable: boolean;
  onNode: ((key: NodeKey) => void) | undefined;
  onFocus: (key: string) => void;
}

function NodeMark({ node, selected, tabbable, onNode, onFocus }: MarkProps) {
  const r = radius(node);
  const key: NodeKey = [node.layer, node.index, node.kind];
  const interaction = onNode
    ? {
        role: "button" as const,
        tabindex: tabbable ? 0 : -1,
        "aria-pressed": selected,
        "aria-label": `${node.kind} node ${node.title}`,
        "data-key": nodeText(key),
        onFocus: () => onFocus(nodeText(key)),
        onClick: () => onNode(key),
        onKeyDown: (event: KeyboardEvent) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          event.stopPropagation();
          onNode(key);
        },
      }
    : {};
  const side = node.kind === "input" ? -1 : 1;
  const a = 0.55 * r;
  const turn = node.kind === "product" ? `rotate(45 ${node.x} ${node.y})` : undefined;
  return (
    <g class={`node ${node.kind}${selected ? " selected" : ""}`} {...interaction}>
      <title>{node.title}</title>
      {onNode && <circle class="reach" cx={node.x} cy={node.y} r="0.32" />}
      <circle class="disc" cx={node.x} cy={node.y} r={r} />
      {node.kind !== "input" && <path class="sign" transform={turn} d={`M${node.x - a} ${node.y}h${2 * a}M${node.x} ${node.y - a}v${2 * a}`} />}
      {node.name && (
        <text x={node.x + side * (r + 0.12)} y={node.y + 0.35 * NAME_SIZE} text-anchor={side < 0 ? "end" : "start"} font-size={NAME_SIZE}>
          {brief(node.name)}
        </text>
      )}
    </g>
  );
}

export function sourceOf(network: Network, edge: Edge): Node | undefined {
  return network.nodes.find((n) => n.layer === edge.key[0] && n.index === edge.key[1] && n.kind !== "factor");
}

export function targetOf(network: Network, edge: Edge): Node | undefined {
  return network.nodes.find((n) => n.layer === edge.key[0] + 1 && n.index === edge.key[2] && (n.kind === "sum" || n.kind === "factor"));
}

export function edgeTitle(network: Network, edge: Edge): string {
  return `${sourceOf(network, edge)?.title ?? "?"} → ${targetOf(network, edge)?.title ?? "?"}`;
}

function edgeLabel(network: Network, edge: Edge): string {
  const what = `${edge.kind} ${tagOf(edge)}`;
  return `${edgeTitle(network, edge)}: ${what}, importance ${digits(edge.importance, 2)}${edge.locked ? ", locked" : ""}${edge.shape ? `, ${edge.shape}` : ""}`;
}

/** What is written above an edge: its function, or the name of its curve in the formula. */
export function tagOf(edge: Edge): string {
  return edge.symbol ?? edge.curve?.replace("f_", "f") ?? "";
}

function radius(node: Node): number {
  return node.kind === "input" ? 0.1 : node.kind === "factor" ? 0.13 : 0.19;
}

function brief(name: string): string {
  const line = name.split(/\s+/).join(" ");
  return line.length <= LETTERS ? line : `${line.slice(0, LETTERS - 1)}…`;
}

function bounds(network: Network): Box {
  const wide = (of: Node[]) => 0.62 * NAME_SIZE * Math.max(0, ...of.map((n) => brief(n.name).length));
  const left = -0.45 - wide(network.nodes.filter((n) => n.layer === 0));
  const right = network.width + 0.55 + wide(network.nodes.filter((n) => n.layer > 0));
  return [left, -0.45, right - left, network.height + 0.75];
}

function cubic(x0: number, y0: number, x1: number, y1: number): string {
  const middle = (x0 + x1) / 2;
  return `M${x0} ${y0}C${middle} ${y0} ${middle} ${y1} ${x1} ${y1}`;
}

/** Bars of a histogram as one path. */
export function bars(counts: number[], left: number, right: number, bottom: number, height: number): string {
  const most = Math.max(1, ...counts);
  const step = (right - left) / counts.length;
  return counts
    .map((n, k) => (n ? `M${(left + k * step).toFixed(3)} ${bottom}h${(0.85 * step).toFixed(3)}v${(-height * (n / most)).toFixed(3)}h${(-0.85 * step).toFixed(3)}z` : ""))
    .join("");
}

export function bandPath(edge: Edge, span: [number, number], corners: [number, number, number, number], round = 3): string {
  if (!edge.band) return "";
  const [lower, upper] = edge.band;
  const back = path([...upper].reverse(), span, [corners[2], corners[1], corners[0], corners[3]], round);
  return `${path(lower, span, corners, round)}L${back.slice(1)}z`;
}

/** Where edges and nodes are that the arrow keys lead to, by their keys. */
function places(network: Network): Map<string, [number, number]> {
  const found = new Map<string, [number, number]>();
  for (const edge of network.edges) found.set(keyText(edge.key), edge.center);
  for (const node of network.nodes) if (node.kind !== "factor") found.set(nodeText([node.layer, node.index, node.kind]), [node.x, node.y]);
  return found;
}

/** The nearest edge or node in a direction; what lies to the side counts double. */
function neighbour(at: Map<string, [number, number]>, from: string, [dx, dy]: [number, number]): string | undefined {
  const start = at.get(from);
  if (!start) return at.keys().next().value;
  let best: string | undefined;
  let least = Infinity;
  for (const [key, center] of at) {
    const [x, y] = [center[0] - start[0], center[1] - start[1]];
    const ahead = x * dx + y * dy;
    if (ahead <= 1e-6) continue;
    const cost = ahead + 2 * Math.abs(x * dy + y * dx);
    if (cost < least) [least, best] = [cost, key];
  }
  return best;
}
