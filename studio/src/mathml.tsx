/* MathML of the server as elements: only the known ones are copied, so that a name can never become markup. */

import { useLayoutEffect, useRef } from "preact/hooks";

const MATH = "http://www.w3.org/1998/Math/MathML";
const ELEMENTS = new Set(
  "math mrow mi mn mo mtext msub msup msubsup mfrac msqrt mroot mfenced mtable mtr mtd mover munder mspace".split(" "),
);
const INVISIBLE_TIMES = "\u2062";
const ATTRIBUTES = new Set(["mathvariant", "display"]);

function copied(node: Node): Node | null {
  if (node.nodeType === Node.TEXT_NODE) return document.createTextNode(node.textContent ?? "");
  if (!(node instanceof Element)) return null;
  const name = node.localName;
  if (node.namespaceURI !== MATH || !ELEMENTS.has(name)) return document.createTextNode(node.textContent ?? "");
  const made = document.createElementNS(MATH, name);
  if (name === "mo" && node.textContent === INVISIBLE_TIMES) {
    const space = document.createElementNS(MATH, "mspace");
    space.setAttribute("width", "0.17em");
    return space;
  }
  for (const { name: key, value } of node.attributes) if (ATTRIBUTES.has(key)) made.setAttribute(key, value);
  for (const child of node.childNodes) {
    const part = copied(child);
    if (part) made.append(part);
  }
  return made;
}

export function MathML({ equations }: { equations: string[] }) {
  const place = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const parser = new DOMParser();
    const lines = equations.map((text) => {
      const math = parser.parseFromString(text, "text/html").body.firstElementChild;
      return math ? copied(math) : null;
    });
    place.current?.replaceChildren(...lines.filter((line): line is Node => line !== null));
  }, [equations]);
  return <div class="math" ref={place} />;
}
