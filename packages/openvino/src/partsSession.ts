/** @file A session of several parts, each on its engine. */

import type { Feeds, Session, Tensor } from '@onnx-lora/sdk';
import {
  type FallenBackNode,
  type ModelProto,
  type ProviderReport,
  RunQueue,
  type RunOptions,
} from '@onnx-lora/sdk/plugin';
import { OpenvinoSession, owned } from './session.ts';

/** A part and its session. */
export interface RunnablePart {
  readonly session: Session;
  readonly model: ModelProto;
}

/** The parts in order, and the names of the whole. */
export interface Parts {
  readonly parts: readonly RunnablePart[];
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly name: string;
  readonly provider: string;
  readonly maxQueue?: number | undefined;
}

/** Runs the parts in turn, each with the outputs of those before. */
export class PartsSession implements Session {
  readonly provider: string;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #parts: readonly RunnablePart[];
  readonly #queue: RunQueue;

  constructor({ parts, inputNames, outputNames, name, provider, maxQueue }: Parts) {
    this.#parts = parts;
    this.#queue = new RunQueue(name, maxQueue);
    this.provider = provider;
    this.inputNames = inputNames;
    this.outputNames = outputNames;
  }

  run(
    feeds: Feeds,
    fetches: readonly string[] = this.outputNames,
    { signal }: RunOptions = {},
  ): Promise<Record<string, Tensor>> {
    return this.#queue.add(() => this.#run(feeds, fetches), { signal });
  }

  /** Operators of the graph by where they are computed; engines fuse some of them. */
  providerReport(): Promise<ProviderReport> {
    const nodes: Record<string, number> = {};
    const fallenBack: FallenBackNode[] = [];
    for (const { session, model } of this.#parts) {
      const own = model.graph?.node ?? [];
      const { provider } = session;
      nodes[provider] = (nodes[provider] ?? 0) + own.length;
      if (provider === this.provider) continue;
      for (const { opType = '', name = '' } of own) fallenBack.push({ op: opType, name, reason: 'no-kernel' });
    }
    return Promise.resolve({ provider: this.provider, nodes, fallenBack });
  }

  async release(): Promise<void> {
    await this.#queue.close();
    for (const { session } of this.#parts) await session.release();
  }

  async #run(feeds: Feeds, fetches: readonly string[]): Promise<Record<string, Tensor>> {
    const known: Record<string, Tensor> = { ...feeds };
    for (const { session } of this.#parts) {
      const own = Object.fromEntries(
        session.inputNames.flatMap((name) => (name in known ? [[name, known[name]!]] : [])),
      );
      // Activations stay where OpenVINO computed them; a worker gets copies.
      const outputs = session instanceof OpenvinoSession ? session.lend(own) : session.run(owned(own));
      Object.assign(known, await outputs);
    }
    return owned(Object.fromEntries(fetches.map((name) => [name, known[name]!])));
  }
}
