/* The tree of states: the way to the current one first at every fork, other branches indented.

   What is typed as a name is the input's own until Enter: the page is drawn again whenever a state comes. */

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Button } from "./button";
import { digits } from "./numbers";
import type { Answer, Branch, Message } from "./types";

interface Props {
  state: { history: Branch[]; current: number };
  busy: boolean;
  compared: number | null;
  act: (message: Message) => Promise<Answer | null>;
  compare: (id: number | null) => void;
  /** What the number beside a state is. */
  measure?: string;
}

export function History({ state, busy, compared, act, compare, measure = "error" }: Props) {
  const [renaming, setRenaming] = useState<number | null>(null);
  const list = useRef<HTMLOListElement>(null);
  const back = useRef<number | null>(null);
  useLayoutEffect(() => {
    if (renaming !== null) list.current?.querySelector<HTMLInputElement>(".rename")?.focus();
    else if (back.current !== null) list.current?.querySelector<HTMLElement>(`[data-state="${back.current}"]`)?.focus();
    back.current = null;
  }, [renaming]);
  const rows = ordered(state.history);
  const onWay = way(state);
  return (
    <nav class="history" aria-label="History">
      <h2 class="line-of">History <span class="measure small">{measure}</span></h2>
      <ol ref={list}>
        {rows.map(({ branch, depth }) => (
          <li key={branch.id} class={onWay.has(branch.id) ? "way" : ""} style={{ marginLeft: `${Math.min(depth, 6) * 10}px` }}>
            {renaming === branch.id ? (
              <input
                class="rename"
                aria-label={`Name of state ${branch.id}`}
                maxLength={60}
                defaultValue={branch.name}
                onKeyDown={(e) => {
                  e.stopPropagation();
                  if (e.key !== "Escape" && e.key !== "Enter") return;
                  if (e.key === "Enter") void act({ do: "name", state: branch.id, name: e.currentTarget.value });
                  back.current = branch.id;
                  setRenaming(null);
                }}
                onBlur={() => setRenaming(null)}
              />
            ) : (
              <Button
                class="go"
                off={busy}
                aria-current={branch.id === state.current ? "step" : undefined}
                data-state={branch.id}
                title={`state ${branch.id}: ${branch.step}`}
                press={() => void act({ do: "goto", state: branch.id })}
              >
                <span class="step">{branch.name ? <b>{branch.name}</b> : branch.step}</span>
                <span class="error">{digits(branch.error, 2)}</span>
              </Button>
            )}
            <span class="more">
              <Button off={busy} aria-label={`Name state ${branch.id}`} title="Name this state" press={() => setRenaming(branch.id)}>✎</Button>
              {branch.id !== state.current && (
                <button
                  type="button"
                  aria-pressed={compared === branch.id}
                  aria-label={`Compare with state ${branch.id}`}
                  title="Compare with the current state"
                  onClick={() => compare(compared === branch.id ? null : branch.id)}
                >
                  ⇄
                </button>
              )}
            </span>
          </li>
        ))}
      </ol>
    </nav>
  );
}

/** States in the order of the tree; every fork indents the branches after its first. */
function ordered(history: Branch[]): { branch: Branch; depth: number }[] {
  const children = new Map<number | null, Branch[]>();
  for (const branch of history) children.set(branch.parent, [...(children.get(branch.parent) ?? []), branch]);
  const rows: { branch: Branch; depth: number }[] = [];
  const waiting = (children.get(null) ?? []).map((branch) => ({ branch, depth: 0 }));
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    rows.push(next);
    const below = children.get(next.branch.id) ?? [];
    const depth = next.depth;
    below.forEach((branch, n) => waiting.push({ branch, depth: n === 0 ? depth : depth + 1 }));
  }
  return rows;
}

function way(state: Props["state"]): Set<number> {
  const ids = new Set<number>();
  for (let id: number | null = state.current; id !== null; id = state.history[id]?.parent ?? null) ids.add(id);
  return ids;
}
