/* What the server sends: the same names as edgewise/workbench/document.py and workspace.py write. */

export type Key = [layer: number, source: number, target: number];
export type Values = (number | null)[];

export interface Node {
  layer: number;
  index: number;
  kind: "input" | "sum" | "product" | "factor";
  x: number;
  y: number;
  name: string;
  title: string;
  bias: number;
  product: number | null;
}

export interface Edge {
  key: Key;
  kind: "curve" | "symbol";
  score: number;
  importance: number;
  x: [number, number];
  y: Values;
  band: [Values, Values] | null;
  center: [number, number];
  symbol: string | null;
  affine: number[] | null;
  curve: string | null;
  density: number[];
  locked: boolean;
  shape: string | null;
  shared: Key[];
}

export interface Network {
  nodes: Node[];
  edges: Edge[];
  widths: number[];
  width: number;
  height: number;
  note: string;
}

export interface Formula {
  mathml: string[];
  latex: string;
  text: string;
  curves: number;
  error?: number | null;
  misfit?: string;
  python?: string;
  sympy?: string;
}

export interface Branch {
  id: number;
  parent: number | null;
  step: string;
  name: string;
  error: number | null;
  heldError: number | null;
  curves: number;
  symbols: number;
  /** Operations and constants of the formula; null while curves are left. */
  length: number | null;
}

/** A formula beside the network, as `found_formulas.py` writes it. */
export interface Found {
  expressions: string[];
  text: string;
  mathml: string[];
  length: number;
  origin: string;
  error: number | null;
  heldError: number | null;
  reason: string;
}

export interface Input {
  name: string;
  low: number;
  high: number;
  middle: number;
  whole: boolean;
}

export interface State {
  kind?: undefined;
  title: string;
  note: string;
  current: number;
  redo: boolean;
  busy: boolean;
  /** When it was read: later states have larger numbers. */
  moment: number;
  scale: number;
  rows: number;
  heldRows: number;
  inputs: Input[];
  outputs: string[];
  library: string[];
  shapes: string[];
  functionShapes: string[];
  symmetries: [number, number][];
  /** All inputs of the network: the columns, then those combined of them. */
  names: string[];
  units: Record<string, string>;
  found: Found[];
  history: Branch[];
  network: Network;
  formula: Formula;
}

/** A term of an additive model, as `additive_workspace.py` writes it. */
export interface Term {
  name: string;
  kind: "curve" | "cyclic" | "levels" | "surface";
  labels: string[];
  spread: number;
  edf: number | null;
  shape: string;
  missing: [number, number, number] | null;
  smooths: boolean;
  /** The ends of a curve, the names of levels, or of a surface both. */
  x: number[] | string[] | (number | string)[][];
  y?: Values;
  low?: Values;
  high?: Values;
  z?: Values[];
  density?: number[];
  omitted?: number;
}

export interface AdditiveState {
  kind: "additive";
  title: string;
  note: string;
  current: number;
  redo: boolean;
  busy: boolean;
  moment: number;
  family: string;
  outputs: string[];
  intercept: (number | null)[];
  level: number;
  history: Branch[];
  terms: Term[];
  columns: Column[];
  /** What a pair can be made of, and the pairs that have a surface. */
  inputs: string[];
  pairs: [string, string][];
  /** What a prediction is of: the outputs, or the classes. */
  means: string[];
}

/** A column of the table of an additive model: what a control of it needs. Dates are days since 1970. */
export interface Column {
  name: string;
  kind: "number" | "level" | "date";
  low?: number;
  middle?: number;
  high?: number;
  whole?: boolean;
  levels?: string[];
}

export interface Candidate {
  name: string;
  r2: number | null;
  score: number | null;
  complexity: number;
  error: number | null;
  y: Values;
}

export interface Preview {
  before: number | null;
  error: number | null;
  curves: number;
  symbols: number;
  edge: { y: Values; x: [number, number] } | null;
}

/** What is worked on: an edge, or a node by its layer and its index in the picture. */
export type NodeKey = [layer: number, index: number, kind: Node["kind"]];

export interface Progress {
  stage: string;
  fraction: number;
  text: string;
}

export interface Download {
  name: string;
  type: string;
  base64: string;
}

export type Message = { do: string } & Record<string, unknown>;
export type Answer = Record<string, unknown>;
