/* The socket to the workspace: every message has a number, and its answer resolves a promise. */

import type { Answer, Message, Progress, State } from "./types";

interface Waiting {
  resolve: (answer: Answer) => void;
  reject: (error: Error) => void;
  progress: ((progress: Progress) => void) | undefined;
}

export interface Handlers {
  state: (state: State) => void;
  connected: (open: boolean) => void;
}

export class Connection {
  private socket: WebSocket | null = null;
  private waiting = new Map<number, Waiting>();
  private next = 1;
  private tries = 0;

  constructor(private handlers: Handlers) {
    this.open();
  }

  /** Send a message; the promise is rejected with the text of an error. */
  ask(message: Message, progress?: (progress: Progress) => void): Promise<Answer> {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      if (this.socket?.readyState !== WebSocket.OPEN) {
        reject(new Error("the studio is not connected; is its command still running?"));
        return;
      }
      this.waiting.set(id, { resolve, reject, progress });
      this.socket.send(JSON.stringify({ ...message, id }));
    });
  }

  private open(): void {
    const token = new URLSearchParams(location.search).get("token") ?? "";
    const socket = new WebSocket(`ws://${location.host}/socket?token=${encodeURIComponent(token)}`);
    this.socket = socket;
    socket.onopen = () => {
      this.tries = 0;
      this.handlers.connected(true);
      void this.ask({ do: "state" }).then((answer) => this.handlers.state(answer as unknown as State));
    };
    socket.onmessage = (event) => this.receive(JSON.parse(String(event.data)) as Answer);
    socket.onclose = () => {
      this.handlers.connected(false);
      for (const waiting of this.waiting.values()) waiting.reject(new Error("the connection was lost"));
      this.waiting.clear();
      setTimeout(() => this.open(), Math.min(8000, 500 * 2 ** this.tries++));
    };
  }

  private receive(answer: Answer): void {
    if (answer.state && answer.id === undefined) {
      this.handlers.state(answer.state as State);
      return;
    }
    const id = answer.id as number;
    const waiting = this.waiting.get(id);
    if (!waiting) return;
    if (answer.progress) {
      waiting.progress?.(answer.progress as Progress);
      return;
    }
    this.waiting.delete(id);
    if (answer.error !== undefined) waiting.reject(new Error(String(answer.error)));
    else waiting.resolve(answer);
  }
}
