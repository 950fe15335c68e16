/* One node: an input can be left out, a hidden node removed, split, or given a factor. */

import { Button } from "./button";
import { nodeText } from "./numbers";
import type { Answer, Message, NodeKey, State } from "./types";

interface Props {
  state: State;
  node: NodeKey;
  busy: boolean;
  act: (message: Message) => Promise<Answer | null>;
  leave: () => void;
  showInputs: () => void;
}

export function NodePanel({ state, node: key, busy, act, leave, showInputs }: Props) {
  const node = state.network.nodes.find((n) => nodeText([n.layer, n.index, n.kind]) === nodeText(key));
  if (!node) return <p class="empty">This node is no longer there.</p>;
  const [layer, index] = [node.layer - 1, node.index];
  const isOutput = node.kind !== "input" && node.layer === state.network.widths.length - 1;
  const change = (name: string) => void act({ do: name, layer, node: index }).then((done) => done && leave());
  const into = state.network.edges.filter((e) => e.key[0] === layer && e.key[2] === index).length;
  const out = state.network.edges.filter((e) => e.key[0] === node.layer && e.key[1] === index).length;
  return (
    <section aria-label="Node">
      <h2 class="edge-title">{node.title}</h2>
      {node.kind === "input" && (
        <>
          <p class="soft">An input, read by {out} {out === 1 ? "edge" : "edges"}.</p>
          <div class="buttons">
            <Button off={busy || out === 0} press={() => void act({ do: "exclude", inputs: [index] })}>Exclude <kbd>Del</kbd></Button>
            <button type="button" onClick={showInputs}>Combine, units …</button>
          </div>
        </>
      )}
      {isOutput && <p class="soft">An output, the {node.kind} of {into} edges.</p>}
      {node.kind !== "input" && !isOutput && (
        <>
          <p class="soft">A hidden {node.kind}{node.kind === "sum" ? ` of ${into} edges` : ""}, read by {out} {out === 1 ? "edge" : "edges"}.</p>
          <div class="buttons">
            <Button off={busy} press={() => change("remove_node")}>Remove <kbd>Del</kbd></Button>
            {node.kind === "sum" && <Button off={busy} press={() => change("split_node")}>Split in two</Button>}
            <Button off={busy} press={() => change("multiply_node")}>{node.kind === "sum" ? "Make a product" : "One factor more"}</Button>
          </div>
          <p class="soft small">A split node and a new factor leave the function as it is until the next fit: the factor is 1 at first, and the two halves learn to differ.</p>
        </>
      )}
    </section>
  );
}

/** The message that removes a node or leaves an input out; null for an output. */
export function removal(state: State, [layer, index, kind]: NodeKey): Message | null {
  if (kind === "input") return { do: "exclude", inputs: [index] };
  if (layer === state.network.widths.length - 1) return null;
  return { do: "remove_node", layer: layer - 1, node: index };
}
