/* The page: one state from the server, one selection, and messages that change the state. */

import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button } from "./button";
import type { Connection } from "./connection";
import { EdgePanel } from "./edge_panel";
import { FormulaBar } from "./formula_bar";
import { FrontPanel } from "./front_panel";
import { Help } from "./help";
import { History } from "./history";
import { InputsPanel } from "./inputs_panel";
import { MathML } from "./mathml";
import { NetworkView } from "./network";
import { NetworkPanel } from "./network_panel";
import { NodePanel, removal } from "./node_panel";
import { digits, explained, keyText, sameKey, share } from "./numbers";
import type { PenMode } from "./pen";
import { saved } from "./saving";
import type { Answer, Candidate, Download, Formula, Key, Message, Network, NodeKey, State } from "./types";
import { WhatIf } from "./what_if";

type Tab = "edge" | "network" | "inputs" | "front" | "what-if";
const TABS: [Tab, string][] = [["edge", "Edge"], ["network", "Network"], ["inputs", "Inputs"], ["front", "Formulas"], ["what-if", "What if"]];
/** Milliseconds of pointing at an edge before its functions are asked for. */
const POINTED = 250;

interface Compared {
  state: number;
  network: Network;
  formula: Formula;
}

interface Props {
  connection: Connection;
  state: State;
  connected: boolean;
  keysFrom: Window | HTMLElement;
}

export function Studio({ connection, state, connected, keysFrom }: Props) {
  const [selected, setSelected] = useState<Key | null>(null);
  const [node, setNode] = useState<NodeKey | null>(null);
  const [mode, setMode] = useState<PenMode>("look");
  const [searching, setSearching] = useState("");
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

  const ask = useCallback((message: Message) => connection.ask(message), [connection]);
  const tell = useCallback((text: string, bad = false) => setStatus({ text, bad }), []);

  const act = useCallback(async (message: Message): Promise<Answer | null> => {
    setAsking(true);
    if (message.do === "fit") setLosses([]);
    try {
      const answer = await connection.ask(message, (progress) => {
        if (message.do === "fit") setLosses((now) => [...now, Number(progress.text)]);
        else setSearching(progress.text || progress.stage);
      });
      tell("");
      return answer;
    } catch (error) {
      tell((error as Error).message, true);
      return null;
    } finally {
      setAsking(false);
      setSearching("");
    }
  }, [connection]);

  useEffect(() => tell(""), [connected]);

  const fit = useCallback(() => {
    void act({ do: "fit", steps: Math.max(5, Math.min(1000, Math.round(steps) || 30)) });
  }, [act, steps]);
  const stop = useCallback(() => void ask({ do: "stop" }), [ask]);

  const busy = asking || (state?.busy ?? false);
  const edges = state?.network.edges ?? [];
  const chosen = edges.find((edge) => sameKey(edge.key, selected)) ?? null;
  const pointed = edges.find((edge) => sameKey(edge.key, hovered)) ?? null;

  const asked = chosen ?? pointed;
  useEffect(() => {
    setCandidates(null);
    if (!asked || !state) return;
    let current = true;
    const key = asked.key;
    const later = setTimeout(() => {
      ask({ do: "suggest", edge: key }).then(
        (answer) => current && setCandidates(answer.candidates as Candidate[]),
        (error: Error) => current && chosen && tell(error.message, true),
      );
    }, chosen ? 0 : POINTED);
    return () => {
      current = false;
      clearTimeout(later);
    };
  }, [asked && keyText(asked.key), state?.current]);
  useEffect(() => setMode("look"), [chosen && keyText(chosen.key)]);

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
    setNode(null);
    if (key) setTab("edge");
  }, []);
  const selectNode = useCallback((key: NodeKey) => {
    setSelected(null);
    setHovered(null);
    setMarked([]);
    setNode(key);
    setTab("edge");
  }, []);

  async function compare(id: number | null): Promise<void> {
    if (id === null) return setCompared(null);
    try {
      setCompared((await ask({ do: "compare", state: id })) as unknown as Compared);
    } catch (error) {
      tell((error as Error).message, true);
    }
  }

  async function download(what: string, fields: Record<string, string> = {}): Promise<void> {
    try {
      const answer = await ask({ do: what, ...fields });
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

  useLayoutEffect(() => { // at once, so that no key meets an older state than the one in sight
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
        else if (mode !== "look") setMode("look");
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
        i: () => setTab("inputs"),
        o: () => setTab("front"),
        w: () => setTab("what-if"),
        "?": () => help.current?.showModal(),
      };
      if (node && !chosen && !busy && state) {
        const message = removal(state, node);
        if (message) doing.Delete = doing.Backspace = () => void act(message).then(() => message.do === "exclude" || setNode(null));
      }
      if (chosen && chosen.kind === "curve" && !chosen.locked) {
        doing.d = () => setMode(mode === "draw" ? "look" : "draw");
        doing.p = () => setMode(mode === "points" ? "look" : "points");
      }
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
  if (!now) return null;
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
          <Button off={busy || now.parent === null} press={() => void act({ do: "undo" })}>Undo</Button>
          <Button off={busy || !state.redo} press={() => void act({ do: "redo" })}>Redo</Button>
          {busy
            ? <button type="button" class="primary" onClick={stop}>Stop</button>
            : <button type="button" class="primary" onClick={fit}>Fit</button>}
          <details class="menu">
            <summary>Export</summary>
            <div>
              <button type="button" onClick={() => void download("script")}>Copy as Python script</button>
              <button type="button" onClick={() => void download("bundle")}>Session with its data (ZIP)</button>
              <button type="button" onClick={() => void download("report")}>Report (HTML)</button>
              {["SVG", "PNG", "PDF"].map((kind) => <button key={kind} type="button" onClick={() => void download("picture", { format: kind.toLowerCase() })}>Network ({kind})</button>)}
            </div>
          </details>
          <button type="button" aria-label="Help" onClick={() => help.current?.showModal()}>?</button>
        </div>
      </header>
      <FormulaBar state={state} ask={ask} tell={tell} />
      <main class={compared ? "comparing" : ""}>
        <History state={state} busy={busy} compared={compared?.state ?? null} act={act} compare={(id) => void compare(id)} />
        <section class="picture" aria-label="Network">
          <NetworkView network={state.network} label={`The network: ${now.curves} curves and ${now.symbols} symbols. Arrow keys go from edge to edge.`} selected={selected} marked={marked} at={at} onHover={setHovered} onSelect={select} node={node} onNode={selectNode} />
          {compared && other && (
            <section class="other" aria-label={`State ${compared.state}`}>
              <div class="other-head">
                <b>{other.name || `state ${compared.state}: ${other.step}`}</b>
                <span>error {digits(other.error)}{other.heldError !== null ? `, on other rows ${digits(other.heldError)}` : ""}; {other.curves} curves, {other.symbols} symbols</span>
                <Button off={busy} press={() => void act({ do: "goto", state: compared.state })}>Go there</Button>
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
          <div class="panel" id="tools" key={tab} role="tabpanel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
            {tab === "edge" && node && !chosen && !pointed && <NodePanel state={state} node={node} busy={busy} act={act} leave={() => setNode(null)} showInputs={() => setTab("inputs")} />}
            {tab === "edge" && (!node || chosen || pointed) && <EdgePanel state={state} edge={panelEdge} hovered={!chosen} marked={marked} busy={busy} at={dot} candidates={candidates} act={act} ask={ask} mode={chosen ? mode : "look"} setMode={setMode} clearMarks={() => setMarked([])} />}
            {tab === "network" && <NetworkPanel state={state} busy={busy} losses={losses} steps={steps} setSteps={setSteps} act={act} ask={ask} fit={fit} stop={stop} />}
            {tab === "inputs" && <InputsPanel state={state} busy={busy} act={act} />}
            {tab === "front" && <FrontPanel state={state} busy={busy} searching={searching} act={act} stop={stop} />}
            {tab === "what-if" && <WhatIf state={state} ask={ask} setAt={setAt} />}
          </div>
        </aside>
      </main>
      <footer>
        <p role="status" class={status.bad || !connected ? "bad" : ""}>{connected ? status.text || (busy ? (searching ? `searching: ${searching}` : losses.length ? `fitting: error ${digits(losses[losses.length - 1])}` : "working …") : "") : "not connected; is the command still running?"}</p>
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
