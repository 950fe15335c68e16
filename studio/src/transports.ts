/* The two ways to the workspace: the WebSocket of a page, and the messages of a widget in a notebook. */

import type { Answer, Message } from "./types";

export interface TransportEvents {
  opened(): void;
  closed(): void;
  received(answer: Answer): void;
}

export interface Transport {
  /** Send a message; false where nobody is there. */
  send(message: Message & { id: number }): boolean;
}

/** The socket of the page's own server, opened again whenever it is lost. */
export function socketTransport(events: TransportEvents): Transport {
  let socket: WebSocket;
  let tries = 0;
  function open(): void {
    const token = new URLSearchParams(location.search).get("token") ?? "";
    socket = new WebSocket(`ws://${location.host}/socket?token=${encodeURIComponent(token)}`);
    socket.onopen = () => {
      tries = 0;
      events.opened();
    };
    socket.onmessage = (event) => events.received(JSON.parse(String(event.data)) as Answer);
    socket.onclose = () => {
      events.closed();
      setTimeout(open, Math.min(8000, 500 * 2 ** tries++));
    };
  }
  open();
  return {
    send(message) {
      if (socket.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
  };
}

/** What anywidget gives to a widget. */
export interface WidgetModel {
  get(name: string): unknown;
  send(content: unknown): void;
  on(event: "msg:custom", handler: (content: Answer) => void): void;
  off(event: "msg:custom", handler: (content: Answer) => void): void;
}

/** The messages of a widget; `ended` is called where it is taken from the notebook. */
export function widgetTransport(model: WidgetModel, ended: (stop: () => void) => void) {
  return (events: TransportEvents): Transport => {
    const received = (answer: Answer) => events.received(answer);
    model.on("msg:custom", received);
    ended(() => model.off("msg:custom", received));
    queueMicrotask(() => events.opened());
    return {
      send(message) {
        model.send(message);
        return true;
      },
    };
  };
}
