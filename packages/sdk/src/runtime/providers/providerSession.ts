/** @file A session on the best working provider: chosen on loading, verified against the CPU on the first run. */

import { fromBase64 } from '../../platform/bytes.ts';
import { mkdtemp, rm } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import { tmpdir } from '../../platform/system.ts';
import { OnnxLoraError } from '../../errors.ts';
import { collectGarbage } from '../garbage.ts';
import type { Engine, LoadedGraph, NativeOptions } from '../engine.ts';
import type { BoundFeeds } from '../boundFeeds.ts';
import type { TransferableBuffers } from '../transferableBuffers.ts';
import { nativeOptions, nativeSession } from '../nativeOptions.ts';
import { outputDifference } from './outputDifference.ts';
import { readProfile } from './profile.ts';
import {
  availability,
  providersToTry,
  providerFailed,
  reasonOf,
  RUN_FAILED,
  warn,
  wrongOutputs,
  usesTheCpu,
} from './providers.ts';
import { RunQueue } from '../runQueue.ts';
import type {
  ConcreteProvider,
  ProviderReport,
  RunOptions,
  Session,
  SessionOptions,
  SessionSource,
  Verification,
} from '../session.ts';
import type { Feeds, Tensor } from '../tensor.ts';

/** Loads a graph on the first working provider. @throws OnnxLoraError `PROVIDER_UNAVAILABLE`, `RUNTIME_FAILED` */
export async function openSession(engine: Engine, source: SessionSource, options: SessionOptions): Promise<Session> {
  const request: Request = { engine, source, options };
  const here = availability(engine.built);
  const chosen = providersToTry(options.provider ?? 'auto', here);
  const others = (options.fallback ?? []).flatMap((provider) => providersToTry(provider, here));
  const tries = [...new Set([...chosen, ...others])];
  // Building the graph left objects behind, and ONNX Runtime needs as much memory now.
  collectGarbage(source.bytes.byteLength * GARBAGE_PER_BYTE);
  return new ProviderSession(request, await loadFirst(request, options.strict ? tries.slice(0, 1) : tries));
}

/** Bytes of JavaScript's heap that building leaves behind per encoded byte of a graph, measured. */
const GARBAGE_PER_BYTE = 60;

interface Request {
  readonly engine: Engine;
  readonly source: SessionSource;
  readonly options: SessionOptions;
}

interface Loaded {
  readonly graph: LoadedGraph;
  readonly provider: ConcreteProvider;
  readonly others: readonly ConcreteProvider[];
}

async function loadFirst(request: Request, tries: readonly ConcreteProvider[]): Promise<Loaded> {
  const { engine, source, options } = request;
  const failures: OnnxLoraError[] = [];
  for (const [i, provider] of tries.entries()) {
    try {
      const native = nativeSession(source, options, provider);
      const graph = await engine.load(native.bytes, native.options);
      for (const { message } of failures) warn(options, `${message} The session runs on ${provider}.`);
      return { graph, provider, others: tries.slice(i + 1) };
    } catch (error) {
      failures.push(await loadingFailed(request, provider, error));
    }
  }
  throw failures.at(-1)!;
}

async function loadingFailed(
  { engine, source }: Request,
  provider: ConcreteProvider,
  cause: unknown,
): Promise<OnnxLoraError> {
  if (cause instanceof OnnxLoraError) return cause;
  if (provider !== 'cpu' && !(await starts(engine, provider))) return providerFailed(provider, cause);
  return new OnnxLoraError('RUNTIME_FAILED', `ONNX Runtime cannot load "${source.name}": ${reasonOf(cause)}.`, {
    cause,
  });
}

const smallestModel = 'CAg6LwoQCgF4EgF5IghJZGVudGl0eRIBZ1oLCgF4EgYKBAgBEgBiCwoBeRIGCgQIARIAQgQKABAR';

/** Whether a provider starts at all: error messages differ between providers and versions. */
async function starts(engine: Engine, provider: ConcreteProvider): Promise<boolean> {
  const quiet: NativeOptions = {
    ...nativeOptions({ bytes: new Uint8Array(), name: '' }, {}, provider),
    logSeverityLevel: 4,
  };
  try {
    const graph = await engine.load(fromBase64(smallestModel), quiet);
    await graph.release();
    return true;
  } catch {
    return false;
  }
}

interface RunInputs {
  readonly feeds: Feeds;
  readonly bound: readonly BoundFeeds[];
  readonly fetches?: readonly string[] | undefined;
}

const DEFAULT_TOLERANCE = 0.01;

class ProviderSession implements Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #request: Request;
  readonly #queue: RunQueue;
  #loaded: Loaded;
  readonly #tolerance: number | undefined;
  #isChecked: boolean;
  #verified: ProviderReport['verified'];

  constructor(request: Request, loaded: Loaded) {
    const { source, options } = request;
    this.#request = request;
    this.#loaded = loaded;
    this.inputNames = loaded.graph.inputNames;
    this.outputNames = loaded.graph.outputNames;
    this.#queue = new RunQueue(source.name, options.maxQueue);
    const { strict = false, purpose = 'inference' } = options;
    const { verify = purpose === 'inference' && (strict || loaded.others.length > 0) } = options;
    this.#tolerance = verify ? toleranceOf(verify) : undefined;
    this.#isChecked = loaded.provider === 'cpu' || (!verify && !strict);
  }

  get provider(): ConcreteProvider {
    return this.#loaded.provider;
  }

  async run(feeds: Feeds, fetches?: readonly string[], options: RunOptions = {}): Promise<Record<string, Tensor>> {
    return this.#enqueue({ feeds, bound: options.bound ?? [], fetches }, options, (inputs) =>
      this.#isChecked ? this.#run(this.#loaded.graph, inputs) : this.#firstRun(inputs),
    );
  }

  get memory(): TransferableBuffers {
    return this.#loaded.graph.memory;
  }

  bind(feeds: Feeds, memory?: ArrayBuffer): BoundFeeds {
    return this.#loaded.graph.bind(feeds, memory);
  }

  async providerReport(feeds: Feeds, options: RunOptions = {}): Promise<ProviderReport> {
    return this.#enqueue({ feeds, bound: options.bound ?? [] }, options, async (inputs) => {
      if (!this.#isChecked) await this.#firstRun(inputs);
      if (this.provider !== 'cpu') this.#verified ??= await this.#verify(inputs);
      const placement = await this.#profile(inputs);
      return { provider: this.provider, ...placement, ...(this.#verified ? { verified: this.#verified } : {}) };
    });
  }

  #released: Promise<void> | undefined;

  release(): Promise<void> {
    this.#released ??= this.#queue.close().then(() => this.#loaded.graph.release());
    return this.#released;
  }

  #enqueue<T>(inputs: RunInputs, { signal }: RunOptions, work: (inputs: RunInputs) => Promise<T>): Promise<T> {
    this.#requireInputs(inputs);
    const letGo = inputs.bound.map((bound) => bound.hold());
    return this.#queue.add(() => work(inputs), { signal, ended: () => letGo.forEach((each) => each()) });
  }

  #requireInputs({ feeds, bound }: RunInputs): void {
    const given = new Set([...Object.keys(feeds), ...bound.flatMap(({ names }) => names)]);
    const missing = this.inputNames.find((name) => !given.has(name));
    if (missing === undefined) return;
    const own = this.inputNames.filter((name) => !bound.some(({ names }) => names.includes(name)));
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `"${this.#request.source.name}" needs the input "${missing}". It takes ${own.join(', ')}; given were ${Object.keys(feeds).join(', ') || 'none'}.`,
    );
  }

  async #run(graph: LoadedGraph, { feeds, bound, fetches }: RunInputs): Promise<Record<string, Tensor>> {
    try {
      return await graph.run(feeds, bound, fetches);
    } catch (cause) {
      if (cause instanceof OnnxLoraError) throw cause;
      throw new OnnxLoraError('RUNTIME_FAILED', `${RUN_FAILED} "${this.#request.source.name}": ${reasonOf(cause)}.`, {
        cause,
      });
    }
  }

  /** Runs and verifies, falling back to other providers until one is right. */
  async #firstRun(inputs: RunInputs): Promise<Record<string, Tensor>> {
    const { source, options } = this.#request;
    const reference = this.#tolerance === undefined ? undefined : await this.#reference(inputs);
    for (;;) {
      const { provider, others } = this.#loaded;
      try {
        const outputs = await this.#run(this.#loaded.graph, inputs);
        if (reference && provider !== 'cpu') this.#verified = this.#compared(outputs, reference);
        if (options.strict) await this.#requireProvider(inputs);
        this.#isChecked = true;
        return outputs;
      } catch (error) {
        // Inputs that also fail on the CPU have thrown already.
        if (options.strict || others.length === 0 || !(error instanceof OnnxLoraError)) throw error;
        const next = await loadFirst(this.#request, others);
        warn(options, `${error.message} "${source.name}" continues with ${next.provider}.`);
        await this.#loaded.graph.release();
        this.#loaded = next;
      }
    }
  }

  /** Outputs of a temporary CPU session; undefined if only the provider can load the graph. */
  async #reference(inputs: RunInputs): Promise<Record<string, Tensor> | undefined> {
    let cpu: Loaded;
    try {
      cpu = await loadFirst(this.#request, ['cpu']);
    } catch (error) {
      if (this.#request.options.strict || !(error instanceof OnnxLoraError)) throw error;
      warn(this.#request.options, `${error.message} Results of ${this.provider} are not verified.`);
      return undefined;
    }
    try {
      return await this.#run(cpu.graph, inputs);
    } finally {
      await cpu.graph.release();
    }
  }

  async #verify(inputs: RunInputs): Promise<ProviderReport['verified']> {
    const reference = await this.#reference(inputs);
    return reference && this.#compared(await this.#run(this.#loaded.graph, inputs), reference, Infinity);
  }

  #compared(
    outputs: Readonly<Record<string, Tensor>>,
    expected: Readonly<Record<string, Tensor>>,
    limit?: number,
  ): NonNullable<ProviderReport['verified']> {
    const tolerance = this.#tolerance ?? DEFAULT_TOLERANCE;
    const { output, difference } = outputDifference(outputs, expected);
    if (difference <= (limit ?? tolerance)) return { maxDifference: difference, tolerance };
    throw wrongOutputs(this.provider, { model: this.#request.source.name, output, difference, tolerance });
  }

  async #requireProvider(inputs: RunInputs): Promise<void> {
    const { fallenBack } = await this.#profile(inputs);
    const computing = fallenBack.filter(({ reason }) => reason === 'no-kernel');
    if (computing.length > 0) throw usesTheCpu(this.provider, this.#request.source.name, computing);
  }

  async #profile(inputs: RunInputs): Promise<Pick<ProviderReport, 'nodes' | 'fallenBack'>> {
    const { engine, source, options } = this.#request;
    const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-profile-'));
    try {
      const native = nativeSession(source, options, this.provider);
      const graph = await engine.load(native.bytes, {
        ...native.options,
        enableProfiling: true,
        profileFilePrefix: path.join(folder, 'profile'),
      });
      try {
        await this.#run(graph, inputs);
        await graph.endProfiling();
      } finally {
        await graph.release();
      }
      return await readProfile(folder, this.provider);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

function toleranceOf(verify: true | Verification): number {
  const { tolerance = DEFAULT_TOLERANCE } = verify === true ? {} : verify;
  if (tolerance >= 0) return tolerance;
  throw new OnnxLoraError('CONFIG_INVALID', `verify.tolerance must be a number of at least 0, but it is ${tolerance}.`);
}
