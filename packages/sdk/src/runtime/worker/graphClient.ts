/** @file Client of `serveGraphs`, in this thread or another. */

import { BoundFeeds } from '../boundFeeds.ts';
import type { LoadedGraph, NativeOptions } from '../engine.ts';
import { TransferableBuffers } from '../transferableBuffers.ts';
import type { Feeds, Tensor, TensorData } from '../tensor.ts';
import type { LoadedAnswer, SentTensor, WorkerAnswer, WorkerRequest } from './workerProgram.ts';

/** Connection to the program. */
export interface Link {
  post(request: WorkerRequest, transfer: ArrayBuffer[]): void;
  /** Values to send for a tensor; its own by default. */
  readonly copied?: (tensor: Tensor) => TensorData;
  /** Called when the first answer becomes pending, and when none is. */
  owe?(isOwed: boolean): void;
}

type Unasked<T> = T extends { readonly ask: number } ? Omit<T, 'ask'> : never;

interface Question {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Loads and runs graphs through a link. */
export class GraphClient {
  readonly #link: Link;
  readonly #open = new Map<number, Question>();
  readonly #boundIds = new WeakMap<BoundFeeds, number>();
  readonly #memory = new TransferableBuffers();
  #count = 0;
  #end: Error | undefined;

  constructor(link: Link) {
    this.#link = link;
  }

  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  async load(model: Uint8Array, options: NativeOptions): Promise<LoadedGraph> {
    const { graph, ...names } = (await this.#ask({ op: 'load', model, options })) as LoadedAnswer;
    return {
      ...names,
      run: async (feeds, bound, fetches) => {
        const sent = this.#sent(feeds, names.inputNames);
        const ids = bound.map((each) => this.#boundIds.get(each) ?? -1);
        const outputs = await this.#ask({ op: 'run', graph, feeds: sent, bound: ids, fetches }, buffersOf(sent));
        return received(outputs as readonly SentTensor[]);
      },
      memory: this.#memory,
      bind: (feeds, memory) => this.#bind(feeds, memory),
      endProfiling: async () => void (await this.#ask({ op: 'endProfiling', graph })),
      release: async () => {
        // A crashed program holds nothing.
        if (!this.hasEnded) await this.#ask({ op: 'release', graph });
      },
    };
  }

  answered(answer: WorkerAnswer): void {
    if ('returned' in answer) return this.#memory.give(answer.returned);
    const question = this.#open.get(answer.ask);
    this.#open.delete(answer.ask);
    if (this.#open.size === 0) this.#link.owe?.(false);
    if ('error' in answer) question?.reject(new Error(answer.error));
    else question?.resolve(answer.value);
  }

  /** Fails all pending and future requests. */
  end(error: Error): void {
    this.#end ??= error;
    for (const question of this.#open.values()) question.reject(this.#end);
    this.#open.clear();
  }

  #bind(feeds: Feeds, memory: ArrayBuffer | undefined): BoundFeeds {
    const id = this.#count++;
    const names = Object.keys(feeds);
    const sent = this.#sent(feeds, names, memory);
    this.#post({ op: 'bind', bound: id, feeds: sent, memory }, buffersOf(sent));
    const bound = new BoundFeeds(names, () => this.#post({ op: 'drop', bound: id }));
    this.#boundIds.set(bound, id);
    return bound;
  }

  #sent(feeds: Feeds, names: readonly string[], memory?: ArrayBuffer): SentTensor[] {
    const { copied = ({ data }: Tensor) => data } = this.#link;
    return names.flatMap((name): SentTensor[] => {
      const tensor = feeds[name];
      if (!tensor) return [];
      return [[name, tensor.type, tensor.dims, tensor.data.buffer === memory ? tensor.data : copied(tensor)]];
    });
  }

  #ask(question: Unasked<WorkerRequest>, transfer: ArrayBuffer[] = []): Promise<unknown> {
    if (this.#end) return Promise.reject(this.#end);
    const ask = this.#count++;
    return new Promise((resolve, reject) => {
      this.#open.set(ask, { resolve, reject });
      this.#link.owe?.(true);
      this.#post({ ask, ...question } as WorkerRequest, transfer);
    });
  }

  #post(request: WorkerRequest, transfer: ArrayBuffer[] = []): void {
    if (!this.#end) this.#link.post(request, transfer);
  }
}

function buffersOf(sent: readonly SentTensor[]): ArrayBuffer[] {
  return [...new Set(sent.map(([, , , data]) => data.buffer as ArrayBuffer))];
}

function received(sent: readonly SentTensor[]): Record<string, Tensor> {
  return Object.fromEntries(sent.map(([name, type, dims, data]) => [name, { type, dims, data }]));
}
