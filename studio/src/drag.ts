/* Moving the picture: one pointer drags it, two zoom it; while it is dragged only the compositor works. */

import { useEffect, useRef } from "preact/hooks";
import type { Box } from "./network";

const STARTS_AT = 4;
/** Milliseconds without a turn of the wheel after which the picture is drawn anew. */
const SETTLES = 140;

interface Start {
  x: number;
  y: number;
  moved: boolean;
}

/** Handlers for an svg whose viewBox is `shown`; the svg is shifted as a whole until the pointer is let go. */
export function useDrag(svg: { current: SVGSVGElement | null }, shown: Box, setView: (view: Box) => void) {
  const start = useRef<Start | null>(null);
  const pointers = useRef(new Map<number, [number, number]>());
  const apart = useRef(0);
  const swallow = useRef(false);
  const view = useRef(shown);
  view.current = shown;

  useEffect(() => {
    if (svg.current) svg.current.style.transform = "";
  }, [shown]);

  /** A shift in pixels becomes part of the view. */
  function settle(x: number, y: number): void {
    const element = svg.current;
    if (!element || !start.current?.moved) return;
    const unit = unitOf(element, shown);
    setView([shown[0] - (x - start.current.x) * unit, shown[1] - (y - start.current.y) * unit, shown[2], shown[3]]);
  }

  return {
    onPointerDown(event: PointerEvent) {
      pointers.current.set(event.pointerId, [event.clientX, event.clientY]);
      swallow.current = false;
      start.current = { x: event.clientX, y: event.clientY, moved: false };
      apart.current = distance(pointers.current);
    },
    onPointerMove(event: PointerEvent) {
      const element = svg.current;
      if (!element || !pointers.current.has(event.pointerId)) return;
      pointers.current.set(event.pointerId, [event.clientX, event.clientY]);
      if (pointers.current.size === 2) {
        const now = distance(pointers.current);
        const factor = now > 0 && apart.current > 0 ? apart.current / now : 1;
        apart.current = now;
        swallow.current = true;
        const [x, y, w, h] = view.current;
        view.current = [x + (w * (1 - factor)) / 2, y + (h * (1 - factor)) / 2, w * factor, h * factor];
        setView(view.current);
        start.current = null;
        return;
      }
      const from = start.current;
      if (!from) return;
      const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
      if (!from.moved && Math.hypot(dx, dy) < STARTS_AT) return;
      if (!from.moved) element.setPointerCapture(event.pointerId);
      from.moved = swallow.current = true;
      element.style.transform = `translate(${dx}px, ${dy}px)`;
    },
    onPointerUp(event: PointerEvent) {
      settle(event.clientX, event.clientY);
      pointers.current.delete(event.pointerId);
      start.current = null;
    },
    onPointerCancel(event: PointerEvent) {
      pointers.current.delete(event.pointerId);
      start.current = null;
      if (svg.current) svg.current.style.transform = "";
    },
    /** A drag that ends on an edge is no click on it. */
    onClickCapture(event: MouseEvent) {
      if (!swallow.current) return;
      swallow.current = false;
      event.stopPropagation();
    },
  };
}

/** The wheel zooms: the picture is scaled as it is while the wheel turns, and drawn anew after it. */
export function useWheel(svg: { current: SVGSVGElement | null }, shown: Box, whole: Box, setView: (view: Box) => void): void {
  useEffect(() => {
    const element = svg.current;
    if (!element) return;
    let target = shown;
    let turned = new DOMMatrix();
    let later = 0;
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      if (!later && element.style.transform) element.style.transform = "";
      const box = (element.parentElement as Element).getBoundingClientRect();
      const [px, py] = [event.clientX - box.left, event.clientY - box.top];
      const unit = unitOf(element, shown);
      const still = turned.inverse().transformPoint(new DOMPoint(px, py));
      const x = shown[0] + shown[2] / 2 + (still.x - element.clientWidth / 2) * unit;
      const y = shown[1] + shown[3] / 2 + (still.y - element.clientHeight / 2) * unit;
      const next = zoomed(target, whole, 1.0015 ** event.deltaY, [x, y]);
      turned = new DOMMatrix().translate(px, py).scale(target[2] / next[2]).translate(-px, -py).multiply(turned);
      target = next;
      element.style.transformOrigin = "0 0";
      element.style.transform = turned.toString();
      clearTimeout(later);
      later = window.setTimeout(() => setView(target), SETTLES);
    };
    element.addEventListener("wheel", wheel, { passive: false });
    return () => {
      clearTimeout(later);
      element.removeEventListener("wheel", wheel);
    };
  }, [shown, whole]);
}

/** A view zoomed about a point, at least 0.08 and at most twice as wide as the whole. */
export function zoomed(view: Box, whole: Box, factor: number, [px, py]: [number, number]): Box {
  const f = Math.max((0.08 * whole[2]) / view[2], Math.min((2 * whole[2]) / view[2], factor));
  return [px - (px - view[0]) * f, py - (py - view[1]) * f, view[2] * f, view[3] * f];
}

function distance(pointers: Map<number, [number, number]>): number {
  const [a, b] = [...pointers.values()];
  return a && b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 0;
}

function unitOf(element: SVGSVGElement, view: Box): number {
  return Math.max(view[2] / element.clientWidth, view[3] / element.clientHeight);
}
