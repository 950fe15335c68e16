/* The keys, in a dialog. */

const KEYS: [string, string][] = [
  ["Arrows", "from edge or node to the next, once the network has the focus"],
  ["Enter", "work with it; with Shift, mark an edge to share a function"],
  ["1 – 9", "fix the edge to this candidate"],
  ["D, P", "draw the curve; pull its points"],
  ["L, E", "lock or unlock the edge; release its symbol to a curve"],
  ["Del", "remove the edge or node, exclude the input"],
  ["F", "fit; Esc stops it"],
  ["U, R", "undo, redo; also Ctrl+Z and Ctrl+Shift+Z"],
  ["N, I, O, W", "the tools for network, inputs, formulas; what if"],
  ["+ − 0", "zoom in, out, and show the whole network"],
];

interface Props {
  dialog: { current: HTMLDialogElement | null };
  shortcuts: boolean;
  setShortcuts: (on: boolean) => void;
}

export function Help({ dialog, shortcuts, setShortcuts }: Props) {
  return (
    <dialog ref={dialog} aria-label="Help">
      <h2>Keys</h2>
      <dl>{KEYS.map(([key, text]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{text}</dd></div>)}</dl>
      <p><label><input type="checkbox" checked={shortcuts} onChange={(e) => setShortcuts(e.currentTarget.checked)} /> single letters are shortcuts</label></p>
      <form method="dialog"><button class="primary">Close</button></form>
    </dialog>
  );
}
