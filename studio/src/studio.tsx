/* The page: one state from the server, one selection, and messages that change the state. */

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Connection } from "./connection";
import type { Transport, TransportEvents } from "./transports";
import { EdgePanel } from "./edge_panel";
import { FormulaBar } from "./formula_bar";
import { History } from "./history";
import { MathML } from "./mathml";
import { NetworkView } from "./network";
import { NetworkPanel } from "./network_panel";
import { digits, explained, keyText, sameKey, share } from "./numbers";
import { saved } from "./saving";
import type { Answer, Candidate, Download, Formula, Key, Message, Network, State } from "./types";
import { WhatIf } from "./what_if";

type Tab = "edge" | "network" | "what-if";
const TABS: [Tab, string][] = [["edge", "Edge"], ["network", "Network"], ["what-if", "What if"]];

interface Compared {
  state: number;
  network: Network;
  formula: Formula;
}

interface Props {
  start: (events: TransportEvents) => Transport;
  /** What hears the shortcuts: the window of a page, or the element of a widget, so that a notebook keeps its keys. */
  keysFrom: Window | HTMLElement;
}

export function Studio({ start, keysFrom }: Props) {
  const [state, setState] = useState<State | null>(null);
  const [connected, setConnected] = useState(false);
  const [selected, setSelected] = useState<Key | null>(null);
  const [hovered, setHovered] = useState<Key | null>(null);
  const [marked, setMarked] = useState<string[]>([]);
  const [tab, setTab] = useState<Tab>("network");
  const [asking, setAsking] = useState(false);
  const [losses, setLosses] = useState<number[]>([]);
  const [steps, setSteps] = useState(30);
  const [status, setStatus] = useState<{ text: string; bad: boolean }>({ text: "", bad: false });
  const [candidates, setCandidates] = useState<Candidate[] | null>(null);
  const [compared, setCompared] = useState<Compared | null>(null);
  const [at, setAt] = useState<(number | null)[][] | null>(null);
  const [shortcuts, setShortcuts] = useState(true);
  const help = useRef<HTMLDialogElement>(null);

  const [connection] = useState(() => new Connection(start, { state: setState, connected: setConnected }));
  const ask = useCallback((message: Message) => connection.ask(message), [connection]);
  const tell = useCallback((text: string, bad = false) => setStatus({ text, bad }), []);

  const act = useCallback(async (message: Message): Promise<Answer | null> => {
    setAsking(true);
    if (message.do === "fit") setLosses([]);
    try {
      const answer = await connection.ask(message, (progress) => setLosses((now) => [...now, Number(progress.text)]));
      tell("");
      return answer;
    } catch (error) {
      tell((error as Error).message, true);
      return null;
    } finally {
      setAsking(false);
    }
  }, [connection]);

  const fit = useCallback(() => {
    void act({ do: "fit", steps: Math.max(5, Math.min(1000, Math.round(steps) || 30)) });
  }, [act, steps]);
  const stop = useCallback(() => void ask({ do: "stop" }), [ask]);

  const busy = asking || (state?.busy ?? false);
  const edges = state?.network.edges ?? [];
  const chosen = edges.find((edge) => sameKey(edge.key, selected)) ?? null;
  const pointed = edges.find((edge) => sameKey(edge.key, hovered)) ?? null;

  useEffect(() => {
    setCandidates(null);
    if (!chosen || !state) return;
    let current = true;
    const key = chosen.key;
    ask({ do: "suggest", edge: key }).then(
      (answer) => current && setCandidates(answer.candidates as Candidate[]),
      (error: Error) => current && tell(error.message, true),
    );
    return () => { current = false; };
  }, [chosen && keyText(chosen.key), state?.current]);

  useEffect(() => {
    if (compared && compared.state === state?.current) setCompared(null);
    setMarked((now) => now.filter((key) => edges.some((edge) => keyText(edge.key) === key)));
  }, [state?.current]);

  const select = useCallback((key: Key | null, more: boolean) => {
    if (key && more) {
      const text = keyText(key);
      setMarked((now) => (now.includes(text) ? now.filter((k) => k !== text) : [...now, text]));
    } else {
      setSelected(key);
      setMarked(key ? [keyText(key)] : []);
    }
    if (key) setTab("edge");
  }, []);

  async function compare(id: number | null): Promise<void> {
    if (id === null) return setCompared(null);
    try {
      setCompared((await ask({ do: "compare", state: id })) as unknown as Compared);
    } catch (error) {
      tell((error as Error).message, true);
    }
  }

  async function download(what: string): Promise<void> {
    try {
      const answer = await ask({ do: what });
      if (what === "script") {
        await navigator.clipboard.writeText(String(answer.script));
        tell("copied: the session as a Python script");
      } else {
        saved(answer.file as Download);
      }
    } catch (error) {
      tell((error as Error).message, true);
    }
  }

  useEffect(() => {
    function key(pressed: Event): void {
      const event = pressed as KeyboardEvent;
      const target = event.target as HTMLElement;
      const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) && (target as HTMLInputElement).type !== "checkbox";
      const command = event.ctrlKey || event.metaKey;
      if (help.current?.open || (typing && event.key !== "Escape")) return;
      if (command && event.key.toLowerCase() === "z") {
        handled(event);
        void act({ do: event.shiftKey ? "redo" : "undo" });
        return;
      }
      if (command || event.altKey) return;
      if (event.key === "Escape") {
        if (busy) stop();
        else select(null, false);
        return;
      }
      if (!shortcuts) return;
      const candidate = /^[1-9]$/.test(event.key) ? candidates?.[Number(event.key) - 1] : undefined;
      const doing: Record<string, () => void> = {
        f: () => !busy && fit(),
        u: () => void act({ do: "undo" }),
        r: () => void act({ do: "redo" }),
        n: () => setTab("network"),
        w: () => setTab("what-if"),
        "?": () => help.current?.showModal(),
      };
      if (chosen && !busy) {
        doing.l = () => void act({ do: chosen.locked ? "unlock" : "lock", edges: [chosen.key] });
        doing.e = () => void act({ do: "release", edge: chosen.key });
        doing.Delete = doing.Backspace = () => void act({ do: "remove", edge: chosen.key });
        if (candidate) doing[event.key] = () => void act({ do: "fix", edge: chosen.key, name: candidate.name });
      }
      const handler = doing[event.key];
      if (handler) {
        handled(event);
        handler();
      }
    }
    keysFrom.addEventListener("keydown", key);
    return () => keysFrom.removeEventListener("keydown", key);
  });

  const now = state?.history[state.current];
  const r2 = useMemo(() => (state && now ? explained(now.error, state.scale) : null), [state]);
  if (!state || !now) return <p class="waiting" role="status">{connected ? "reading the session …" : "connecting to the studio …"}</p>;
  const other = compared && state.history[compared.state];
  const panelEdge = chosen ?? pointed;
  const dot = panelEdge ? (at?.[panelEdge.key[0]]?.[panelEdge.key[1]] ?? null) : null;

  return (
    <div class="studio">
      <header>
        <h1><span class="brand">edgewise</span> <span class="title">{state.title}</span></h1>
        <dl class="scores">
          <div><dt>error</dt><dd>{digits(now.error)}</dd></div>
          {r2 !== null && <div><dt>R²</dt><dd>{share(r2)}</dd></div>}
          {now.heldError !== null && <div><dt title={`${state.heldRows} rows that no step sees`}>error on other rows</dt><dd>{digits(now.heldError)}</dd></div>}
          <div><dt>edges</dt><dd>{now.curves} <span class="soft small">{now.curves === 1 ? "curve" : "curves"}</span> {now.symbols} <span class="soft small">{now.symbols === 1 ? "symbol" : "symbols"}</span></dd></div>
        </dl>
        <div class="buttons" role="group" aria-label="Session">
          <button type="button" disabled={busy || now.parent === null} onClick={() => void act({ do: "undo" })}>Undo</button>
          <button type="button" disabled={busy || !state.redo} onClick={() => void act({ do: "redo" })}>Redo</button>
          {busy
            ? <button type="button" class="primary" onClick={stop}>Stop</button>
            : <button type="button" class="primary" onClick={fit}>Fit</button>}
          <details class="menu">
            <summary>Export</summary>
            <div>
              <button type="button" onClick={() => void download("script")}>Copy as Python script</button>
              <button type="button" onClick={() => void download("bundle")}>Session with its data (ZIP)</button>
              <button type="button" onClick={() => void download("report")}>Report (HTML)</button>
              <button type="button" onClick={() => void download("picture")}>Network (SVG)</button>
            </div>
          </details>
          <button type="button" aria-label="Help" onClick={() => help.current?.showModal()}>?</button>
        </div>
      </header>
      <FormulaBar state={state} ask={ask} tell={tell} />
      <main class={compared ? "comparing" : ""}>
        <History state={state} busy={busy} compared={compared?.state ?? null} act={act} compare={(id) => void compare(id)} />
        <section class="picture" aria-label="Network">
          <NetworkView network={state.network} label={`The network: ${now.curves} curves and ${now.symbols} symbols. Arrow keys go from edge to edge.`} selected={selected} marked={marked} at={at} onHover={setHovered} onSelect={select} />
          {compared && other && (
            <section class="other" aria-label={`State ${compared.state}`}>
              <div class="other-head">
                <b>{other.name || `state ${compared.state}: ${other.step}`}</b>
                <span>error {digits(other.error)}{other.heldError !== null ? `, on other rows ${digits(other.heldError)}` : ""}; {other.curves} curves, {other.symbols} symbols</span>
                <button type="button" disabled={busy} onClick={() => void act({ do: "goto", state: compared.state })}>Go there</button>
                <button type="button" onClick={() => setCompared(null)}>Close</button>
              </div>
              <div class="equations" tabIndex={0} role="group" aria-label="Equations of the other state"><MathML equations={compared.formula.mathml} /></div>
              <NetworkView network={compared.network} label={`The network of state ${compared.state}`} />
            </section>
          )}
        </section>
        <aside aria-label="Tools">
          <div class="tabs" role="tablist" aria-label="Tools">
            {TABS.map(([name, title]) => (
              <button key={name} type="button" role="tab" id={`tab-${name}`} aria-controls="tools" aria-selected={tab === name} onClick={() => setTab(name)}>{title}</button>
            ))}
          </div>
          <div class="panel" id="tools" role="tabpanel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
            {tab === "edge" && <EdgePanel state={state} edge={panelEdge} hovered={!chosen} marked={marked} busy={busy} at={dot} candidates={candidates} act={act} clearMarks={() => setMarked([])} />}
            {tab === "network" && <NetworkPanel state={state} busy={busy} losses={losses} steps={steps} setSteps={setSteps} act={act} ask={ask} fit={fit} stop={stop} />}
            {tab === "what-if" && <WhatIf state={state} ask={ask} setAt={setAt} />}
          </div>
        </aside>
      </main>
      <footer>
        <p role="status" class={status.bad || !connected ? "bad" : ""}>{connected ? status.text || (busy ? (losses.length ? `fitting: error ${digits(losses[losses.length - 1])}` : "working …") : "") : "not connected; is the command still running?"}</p>
        <p class="soft">{state.note || `${state.rows.toLocaleString("en")} rows`}</p>
      </footer>
      <Help dialog={help} shortcuts={shortcuts} setShortcuts={setShortcuts} />
    </div>
  );
}

/** The key is ours alone: neither the browser nor a notebook around the studio acts on it. */
function handled(event: KeyboardEvent): void {
  event.preventDefault();
  event.stopPropagation();
}

const KEYS: [string, string][] = [
  ["Arrows", "from edge to edge, once the network has the focus"],
  ["Enter", "work with the edge; with Shift, mark it to share a function"],
  ["1 – 9", "fix the edge to this candidate"],
  ["L", "lock or unlock the edge"],
  ["E", "release the symbol to a curve"],
  ["Del", "remove the edge"],
  ["F", "fit; Esc stops it"],
  ["U, R", "undo, redo; also Ctrl+Z and Ctrl+Shift+Z"],
  ["N, W", "the tools for the network; what if"],
  ["+ − 0", "zoom in, out, and show the whole network"],
];

function Help({ dialog, shortcuts, setShortcuts }: { dialog: { current: HTMLDialogElement | null }; shortcuts: boolean; setShortcuts: (on: boolean) => void }) {
  return (
    <dialog ref={dialog} aria-label="Help">
      <h2>Keys</h2>
      <dl>{KEYS.map(([key, text]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{text}</dd></div>)}</dl>
      <p><label><input type="checkbox" checked={shortcuts} onChange={(e) => setShortcuts(e.currentTarget.checked)} /> single letters are shortcuts</label></p>
      <form method="dialog"><button class="primary">Close</button></form>
    </dialog>
  );
}
