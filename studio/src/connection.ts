/* Messages to the workspace: every one has a number, and its answer resolves a promise; the way there is a transport.

   States are numbered by when they were read: one that comes after a newer one is not shown. */

import type { AdditiveState, Answer, Message, Progress, State } from "./types";
import type { Transport, TransportEvents } from "./transports";

interface Waiting {
  resolve: (answer: Answer) => void;
  reject: (error: Error) => void;
  progress: ((progress: Progress) => void) | undefined;
}

export interface Handlers {
  state: (state: State | AdditiveState) => void;
  connected: (open: boolean) => void;
}

export class Connection implements TransportEvents {
  private waiting = new Map<number, Waiting>();
  private next = 1;
  private shown = -1;
  private transport: Transport;

  constructor(start: (events: TransportEvents) => Transport, private handlers: Handlers) {
    this.transport = start(this);
  }

  /** Send a message; the promise is rejected with the text of an error. */
  ask(message: Message, progress?: (progress: Progress) => void): Promise<Answer> {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, progress });
      if (this.transport.send({ ...message, id })) return;
      this.waiting.delete(id);
      reject(new Error("the studio is not connected; is its command still running?"));
    });
  }

  opened(): void {
    this.handlers.connected(true);
    this.shown = -1; // the server may be another one
    void this.ask({ do: "state" }).then((answer) => this.show(answer as unknown as State | AdditiveState));
  }

  closed(): void {
    this.handlers.connected(false);
    for (const waiting of this.waiting.values()) waiting.reject(new Error("the connection was lost"));
    this.waiting.clear();
  }

  received(answer: Answer): void {
    if (answer.state && answer.id === undefined) {
      this.show(answer.state as State | AdditiveState);
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

  private show(state: State | AdditiveState): void {
    if (state.moment <= this.shown) return;
    this.shown = state.moment;
    this.handlers.state(state);
  }
}
