/* The page of an additive model: all terms on one scale, one of them large with its edits, and the tree of states. */

import { useCallback, useEffect, useLayoutEffect, useState } from "preact/hooks";
import { Button } from "./button";
import { AdditiveWhatIf } from "./additive_what_if";
import type { Connection } from "./connection";
import { History } from "./history";
import { digits } from "./numbers";
import { PairsPanel } from "./pairs_panel";
import { saved } from "./saving";
import { spanOf, TermDrawing, type Frame } from "./term_drawing";
import { TermPanel } from "./term_panel";
import type { AdditiveState, Answer, Download, Message, Term } from "./types";

const CARD: Frame = { left: 4, top: 6, right: 176, bottom: 106 };

type Tab = "term" | "pairs" | "what-if";
const TABS: [Tab, string][] = [["term", "Term"], ["pairs", "Pairs"], ["what-if", "What if"]];

interface Props {
  connection: Connection;
  state: AdditiveState;
  connected: boolean;
  keysFrom: Window | HTMLElement;
}

interface Compared {
  state: number;
  terms: Term[];
}

export function AdditiveStudio({ connection, state, connected, keysFrom }: Props) {
  const [chosen, setChosen] = useState<string | null>(null);
  const [status, setStatus] = useState({ text: "", bad: false });
  const [asking, setAsking] = useState(false);
  const [compared, setCompared] = useState<Compared | null>(null);
  const [tab, setTab] = useState<Tab>("term");
  const ask = useCallback((message: Message) => connection.ask(message), [connection]);
  const busy = asking || state.busy;
  const term = state.terms.find((t) => t.name === chosen) ?? null;
  const now = state.history[state.current];
  const first = state.history[0];
  const show = (name: string) => {
    setChosen(name);
    setTab("term");
  };

  const act = useCallback(async (message: Message): Promise<Answer | null> => {
    setAsking(true);
    try {
      const answer = await connection.ask(message);
      setStatus({ text: "", bad: false });
      return answer;
    } catch (error) {
      setStatus({ text: (error as Error).message, bad: true });
      return null;
    } finally {
      setAsking(false);
    }
  }, [connection]);

  useEffect(() => setStatus({ text: "", bad: false }), [connected]);

  async function compare(id: number | null): Promise<void> {
    if (id === null) return setCompared(null);
    try {
      setCompared((await ask({ do: "compare", state: id })) as unknown as Compared);
    } catch (error) {
      setStatus({ text: (error as Error).message, bad: true });
    }
  }
  useEffect(() => {
    if (compared?.state === state.current) setCompared(null);
  }, [state.current]);

  async function download(what: string, fields: Record<string, string> = {}): Promise<void> {
    try {
      const answer = await ask({ do: what, ...fields });
      if (what === "script") {
        await navigator.clipboard.writeText(String(answer.script));
        setStatus({ text: "copied: the edits as a Python script", bad: false });
      } else saved(answer.file as Download);
    } catch (error) {
      setStatus({ text: (error as Error).message, bad: true });
    }
  }

  useLayoutEffect(() => {
    function key(pressed: Event): void {
      const event = pressed as KeyboardEvent;
      const typing = /^(INPUT|SELECT|TEXTAREA)$/.test((event.target as HTMLElement).tagName);
      const command = event.ctrlKey || event.metaKey;
      if (typing || event.altKey || busy) return;
      const doing: Record<string, () => void> = command
        ? { z: () => void act({ do: event.shiftKey ? "redo" : "undo" }) }
        : { u: () => void act({ do: "undo" }), r: () => void act({ do: "redo" }), escape: () => setChosen(null), p: () => setTab("pairs"), w: () => setTab("what-if"), t: () => setTab("term") };
      if (term && !command) doing.delete = doing.backspace = () => void act({ do: "remove_term", term: term.name });
      const handler = doing[event.key.toLowerCase()];
      if (!handler) return;
      event.preventDefault();
      event.stopPropagation();
      handler();
    }
    keysFrom.addEventListener("keydown", key);
    return () => keysFrom.removeEventListener("keydown", key);
  });

  const explained = (error: number | null | undefined) => digits(error === null || error === undefined ? null : 1 - error, 4);
  const span = spanOf(state.terms.filter((t) => t.kind !== "surface"));
  return (
    <div class="studio additive">
      <header>
        <h1><span class="brand">edgewise</span> {state.title}</h1>
        <dl class="scores">
          <div><dt>deviance explained</dt><dd>{explained(now?.error)}</dd></div>
          {state.current !== 0 && <div><dt>at first</dt><dd>{explained(first?.error)}</dd></div>}
          <div><dt>terms</dt><dd>{state.terms.length}</dd></div>
        </dl>
        <div class="buttons">
          <Button off={busy || now?.parent === null} press={() => void act({ do: "undo" })}>Undo</Button>
          <Button off={busy || !state.redo} press={() => void act({ do: "redo" })}>Redo</Button>
          <details class="menu">
            <summary>Export</summary>
            <div>
              <button type="button" onClick={() => void download("script")}>Copy as Python script</button>
              <button type="button" onClick={() => void download("bundle")}>Session with its data (ZIP)</button>
              {["SVG", "PNG", "PDF"].map((kind) => <button key={kind} type="button" onClick={() => void download("picture", { format: kind.toLowerCase() })}>Terms ({kind})</button>)}
            </div>
          </details>
        </div>
      </header>
      <section class="formula" aria-label="Formula">
        <p class="equations sum" tabIndex={0}>
          {state.family === "gaussian" ? state.outputs[0] : `link of ${state.outputs[0]} (${state.family})`} = {digits(state.intercept[0])}
          {state.terms.map((t) => <span key={t.name}> + <button type="button" class="inline" onClick={() => show(t.name)}>f({t.labels.join(", ")})</button></span>)}
        </p>
      </section>
      <main>
        <History state={state} busy={busy} compared={compared?.state ?? null} act={act} compare={(id) => void compare(id)} measure="not explained" />
        <section class="terms" aria-label="Terms">
          {state.terms.length === 0 && <p class="empty">No term is left: the model is its intercept.</p>}
          <ul>
            {state.terms.map((t) => (
              <li key={t.name}>
                <button type="button" class="card" aria-pressed={t.name === chosen} onClick={() => show(t.name)}>
                  <span class="name" title={t.name}>{t.name}</span>
                  <svg viewBox="0 0 180 110" aria-hidden="true" class="chart"><TermDrawing term={t} span={span} frame={CARD} over={compared?.terms.find((o) => o.name === t.name) ?? null} /></svg>
                  <span class="soft small">spread {digits(t.spread)}{t.kind === "curve" ? "" : ` · ${t.kind}`}</span>
                </button>
              </li>
            ))}
          </ul>
          {compared && (
            <p class="hint">
              dashed: state {compared.state}{compared.terms.filter((o) => !state.terms.some((t) => t.name === o.name)).map((o) => `; it also has ${o.name}`).join("")}
              {" "}<button type="button" onClick={() => setCompared(null)}>Close</button>
            </p>
          )}
        </section>
        <aside aria-label="Tools">
          <div class="tabs" role="tablist" aria-label="Tools">
            {TABS.map(([name, title]) => (
              <button key={name} type="button" role="tab" id={`tab-${name}`} aria-controls="tools" aria-selected={tab === name} onClick={() => setTab(name)}>{title}</button>
            ))}
          </div>
          <div class="panel" id="tools" key={tab} role="tabpanel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
            {tab === "term" && <TermPanel state={state} term={term} busy={busy} act={act} ask={ask} />}
            {tab === "pairs" && <PairsPanel state={state} busy={busy} act={act} ask={ask} show={show} />}
            {tab === "what-if" && <AdditiveWhatIf state={state} ask={ask} />}
          </div>
        </aside>
      </main>
      <footer>
        <p role="status" class={status.bad || !connected ? "bad" : ""}>{connected ? status.text || (busy ? "working …" : "") : "not connected; is the command still running?"}</p>
        <p class="soft">{state.note}; bands hold the whole curve with {digits(100 * state.level)} %</p>
      </footer>
    </div>
  );
}
