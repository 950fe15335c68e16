/* The connection and its state, and the page for what is worked on: a network, or an additive model. */

import { useState } from "preact/hooks";
import { AdditiveStudio } from "./additive";
import { Connection } from "./connection";
import { Studio } from "./studio";
import type { Transport, TransportEvents } from "./transports";
import type { AdditiveState, State } from "./types";

interface Props {
  start: (events: TransportEvents) => Transport;
  /** What hears the shortcuts: the window of a page, or the element of a widget, so that a notebook keeps its keys. */
  keysFrom: Window | HTMLElement;
}

export function Root({ start, keysFrom }: Props) {
  const [state, setState] = useState<State | AdditiveState | null>(null);
  const [connected, setConnected] = useState(false);
  const [connection] = useState(() => new Connection(start, { state: setState, connected: setConnected }));
  if (!state) return <p class="waiting" role="status">{connected ? "reading the session …" : "connecting to the studio …"}</p>;
  if (state.kind === "additive") return <AdditiveStudio connection={connection} state={state} connected={connected} keysFrom={keysFrom} />;
  return <Studio connection={connection} state={state} connected={connected} keysFrom={keysFrom} />;
}
