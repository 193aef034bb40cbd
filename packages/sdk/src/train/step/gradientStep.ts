/** @file Loss and gradients of a batch: compiles and runs the training graph for its shapes. */

import { FeedCheck } from '../../adapter/serving/feedCheck.ts';
import { OnnxLoraError } from '../../errors.ts';
import { preparedSource } from '../../ops/session/sessionModel.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { providerNames } from '../../runtime/providers/providers.ts';
import { collectGarbage } from '../../runtime/garbage.ts';
import type { ProviderReport, Session } from '../../runtime/session.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import { requireCollated } from '../graph/collated.ts';
import { MaskDrawer } from '../dropout.ts';
import { requireExpected } from '../graph/expected.ts';
import { GradientMean } from './gradientMean.ts';
import { KeptGraphs } from './keptGraphs.ts';
import type { LossAndGradients } from './gradientMean.ts';
import { cut, type Piece, rowsOf } from './microBatch.ts';
import { DynamicGraphCache } from './dynamicGraphCache.ts';
import { prepareStep, stepFeeds } from './prepareStep.ts';
import type { ParameterSet } from '../parameters.ts';
import { PrefixCache } from '../prefix/prefixCache.ts';
import type { PrefixOptions, PrefixReport } from '../prefix/split.ts';
import { MemoryRows, RowFile, type RowStore } from '../prefix/rowStore.ts';
import { rowInputsOf } from '../../ops/rows/batchAxes.ts';
import type { FrozenPrefix, TrainingGraph } from '../graph/trainingGraph.ts';
import { runInSlices } from '../../graph/eventLoop.ts';
import { multiply } from '../slices.ts';
import type { CompiledStep, GradientStepRequest, MemoryPlan } from './stepRequest.ts';

interface Compiled {
  readonly graph: TrainingGraph;
  readonly session: Session;
  /** Rows per run; undefined if a batch is computed at once. */
  readonly rows: number | undefined;
  readonly prefix: PrefixCache | undefined;
  readonly bytes: number;
  release(): Promise<void>;
}

/** Limit of packed weight copies; more cost more memory than their speed is worth. */
const PREPACK_BYTES = 280 << 20;

/** Memory limit of graphs for other shapes, such as shorter rows. */
const KEPT_BYTES = 128 << 20;

/** Computes gradients batch by batch. Each new shape of batches needs a graph; small graphs are cached. */
export class GradientStep {
  readonly #request: GradientStepRequest;
  readonly #check: FeedCheck;
  #parameters: ParameterSet | undefined;
  readonly #graphs = new KeptGraphs<Compiled>(KEPT_BYTES);
  readonly #opened: DynamicGraphCache;
  /** The graph for batches of all sizes, once found. */
  #open: Compiled | undefined;
  /** Draws dropout masks. */
  readonly masks: MaskDrawer;
  #memoryPlan: MemoryPlan | undefined;
  #rowStore: RowStore | undefined;
  #prefix: PrefixReport | undefined;
  #isPrefixRefused = false;

  /** Builds nothing until the first batch sets the shapes. */
  constructor(request: GradientStepRequest) {
    this.#request = request;
    this.#opened = new DynamicGraphCache(request);
    this.masks = new MaskDrawer(request.seed ?? 0, request.drawMask);
    this.#check = FeedCheck.of(request.base.graph ?? {});
  }

  /** The current parameters; undefined before {@link GradientStep.compile}. */
  get parameters(): ParameterSet | undefined {
    return this.#parameters;
  }

  /** Outcome of the frozen prefix; undefined if not requested or before {@link GradientStep.compile}. */
  get prefix(): PrefixReport | undefined {
    return this.#prefix;
  }

  /**
   * Builds and loads the graph for this batch's shapes in advance.
   * @param examples example number of each row, if frozen prefix values are kept
   * @throws OnnxLoraError `NO_GRADIENT` for an operator without a rule; `PLUGIN_INVALID` for inputs that the model does
   *   not take; `MODEL_UNSUPPORTED`, `RUNTIME_FAILED`
   */
  async compile(inputs: Feeds, targets: Feeds, examples?: readonly number[]): Promise<CompiledStep> {
    const { session } = await this.#compile(inputs, targets, examples);
    return { provider: session.provider, parameters: this.#parameters! };
  }

  /**
   * Computes loss and gradients without side effects.
   * @param lossScale multiplies gradients inside a float16 graph if {@link GradientStepRequest.lossScale} is set; the
   *   results are divided by it, and overflows stay infinite or NaN
   * @param examples example number of each row, if frozen prefix values are kept
   * @throws OnnxLoraError as {@link GradientStep.compile}; `DATA_INVALID` for a label outside the classes
   */
  async lossAndGradients(
    batch: Feeds,
    targets: Feeds,
    lossScale = 1,
    examples?: readonly number[],
  ): Promise<LossAndGradients> {
    const compiled = await this.#compile(batch, targets, examples);
    const nothing = requireExpected(compiled.graph.expected, targets, examples?.length ?? rowsOf(batch, targets));
    const empty = nothing === undefined ? {} : { nothing };
    const inputs = compiled.prefix ? await withPrefix(compiled, batch, examples!) : batch;
    const { lossWeight = () => 1 } = this.#request;
    if (compiled.rows === undefined)
      return { ...(await this.#run(compiled, inputs, targets, lossScale)), weight: lossWeight(targets), ...empty };
    const mean = new GradientMean();
    for (const piece of cut(inputs, targets, compiled.rows, rowsOf(batch, targets)!)) {
      const weight = lossWeight(piece.targets);
      if (weight === 0) continue;
      await mean.add({ ...(await this.#run(compiled, piece.inputs, piece.targets, lossScale)), weight });
    }
    return { ...mean.value(), ...empty };
  }

  /** Where each operator of a step runs, by a profiled run on this batch without side effects. */
  async providerReport(batch: Feeds, targets: Feeds, examples?: readonly number[]): Promise<ProviderReport> {
    const compiled = await this.#compile(batch, targets, examples);
    const inputs = compiled.prefix ? await withPrefix(compiled, batch, examples!) : batch;
    const [piece] =
      compiled.rows === undefined
        ? [{ inputs, targets }]
        : (cut(inputs, targets, compiled.rows, rowsOf(batch, targets)!) as [Piece]);
    const { session } = compiled;
    if (session.providerReport) return session.providerReport(this.#feeds(compiled, piece.inputs, piece.targets, 1));
    return { provider: session.provider, nodes: {}, fallenBack: [] };
  }

  #feeds({ graph }: Compiled, inputs: Feeds, targets: Feeds, lossScale: number): Feeds {
    return stepFeeds(graph, this.#parameters!, this.masks, { inputs, targets }, lossScale);
  }

  async #run(
    compiled: Compiled,
    inputs: Feeds,
    targets: Feeds,
    lossScale: number,
  ): Promise<Omit<LossAndGradients, 'weight'>> {
    const { graph, session } = compiled;
    const outputs = await session.run(this.#feeds(compiled, inputs, targets, lossScale));
    const unscale = graph.lossScale === undefined ? 1 : 1 / lossScale;
    const gradients = new Map<string, Float32Array>();
    const taken = new Set<string>();
    for (const { input } of this.#parameters!.all) {
      const output = graph.gradients.get(input.name);
      if (output === undefined) continue;
      const data = outputs[output]!.data as Float32Array;
      // Parameters may share an output, but get separate arrays, since callers may change them in place.
      gradients.set(input.name, taken.has(output) ? data.slice() : data);
      taken.add(output);
    }
    for (const { input } of this.#parameters!.all) {
      // The graph differentiates by scale · value.
      const factor = input.tensor.scale * unscale;
      const gradient = gradients.get(input.name);
      if (gradient && factor !== 1) await runInSlices(multiply(gradient, factor));
    }
    const features = graph.features === undefined ? {} : { features: outputs[graph.features]! };
    return { loss: outputs[graph.loss]!.data[0] as number, gradients, ...features };
  }

  /** Whether the latest graph computes in float16 and scales gradients. */
  get isScaled(): boolean {
    return (this.#graphs.last ?? this.#open)?.graph.lossScale !== undefined;
  }

  /** Memory needs of the latest graph; undefined before the first. */
  get memoryPlan(): MemoryPlan | undefined {
    return this.#memoryPlan;
  }

  /** Releases the native sessions and the frozen prefix's values. */
  async release(): Promise<void> {
    await this.#graphs.release();
    await this.#open?.release();
    this.#open = undefined;
    await this.#rowStore?.release();
    this.#rowStore = undefined;
  }

  async #compile(inputs: Feeds, targets: Feeds, examples?: readonly number[]): Promise<Compiled> {
    requireCollated(this.#check, inputs, targets, this.#request.name);
    const { base } = this.#request;
    const room = this.#roomFor(base, inputs, examples);
    const shapes = [inputs, targets]
      .map((feeds) =>
        Object.entries(feeds)
          .map(([name, { dims }]) => `${name}:${dims.join()}`)
          .join(';'),
      )
      .join('|');
    const key = room ? `prefix|${shapes}` : shapes;
    const kept = this.#graphs.use(key);
    if (kept) return kept;
    const opened = await this.#openFor(inputs, targets);
    if (opened) return opened;
    // Released first, so that a next graph as large as the last fits.
    await this.#graphs.makeRoom(this.#graphs.last?.bytes);
    const { prepared, rows, total } = await prepareStep(this.#request, inputs, targets, room);
    const graph = await runInSlices(prepared.build());
    const { forwardBytes, weightBytes } = graph;
    const bytes = forwardBytes + weightBytes;
    await this.#graphs.makeRoom(bytes);
    this.#memoryPlan = { batchRows: total ?? 1, rows: rows ?? total ?? 1, forwardBytes, weightBytes };
    // Includes the frozen prefix's weights: results are only bit-identical with and without a prefix if packing is the
    // same.
    const below = typeof graph.prefix === 'object' ? graph.prefix.packedBytes : 0;
    const prepack = this.#packs(graph.packedBytes + below);
    const cache = await this.#prefixCache(graph.prefix, key, prepack);
    if (cache && !(await this.#opens(cache))) return this.#compile(inputs, targets, examples);
    const session = await this.#load(graph, prepack).catch(async (error: unknown) => {
      await cache?.release();
      throw error;
    });
    this.#parameters ??= this.#request.parameters(graph.inputs);
    const release = async (): Promise<void> => {
      await session.release();
      await cache?.release();
    };
    const compiled = { graph, session, rows, prefix: cache, bytes, release };
    this.#graphs.add(key, compiled);
    return compiled;
  }

  /** Whether the runtime packs weights. Features alone are computed once for many rows and gain nothing from it. */
  #packs(bytes: number): boolean {
    return !this.#request.featuresOnly && bytes <= PREPACK_BYTES;
  }

  async #load(graph: TrainingGraph, prepack: boolean): Promise<Session> {
    const { runtime, session: options, name } = this.#request;
    const session = await runtime.createSession(await preparedSource(graph.model, name), {
      ...options,
      purpose: 'training',
      prepack,
      mergesEqual: !graph.recomputes,
    });
    // Frees memory left by building before the first run.
    collectGarbage(graph.weightBytes);
    return session;
  }

  /** The graph for batches of all sizes, if it covers this one. Only on the CPU: others would compute sizes there. */
  async #openFor(inputs: Feeds, targets: Feeds): Promise<Compiled | undefined> {
    let opened = await this.#opened.for(inputs, targets);
    if (!opened) {
      const { last = this.#open } = this.#graphs;
      const isFit = last?.session.provider === 'cpu' && !last.prefix;
      if (!(await this.#opened.find(inputs, targets, isFit ? last.graph.targetNames : undefined))) return undefined;
      opened = (await this.#opened.for(inputs, targets))!;
      await this.#open?.release();
      this.#open = undefined;
    }
    this.#memoryPlan = opened.memoryPlan;
    if (!this.#open) {
      await this.#graphs.release();
      const session = await this.#load(opened.graph, this.#packs(opened.graph.packedBytes));
      this.#open = { ...opened, session, prefix: undefined, bytes: 0, release: () => session.release() };
    }
    return { ...this.#open, ...opened };
  }

  /** Prefix options for this batch; notes the reason where a prefix is impossible. */
  #roomFor(base: ModelProto, inputs: Feeds, examples: readonly number[] | undefined): PrefixOptions | undefined {
    const { prefix } = this.#request;
    if (!prefix || !examples || this.#isPrefixRefused) return undefined;
    const { rows } = rowInputsOf(base.graph ?? {}, inputs);
    if (rows === examples.length) return prefix;
    this.#prefix = { kept: false, reason: `a batch of ${examples.length} examples has ${rows} rows` };
    return undefined;
  }

  /** Loads the prefix; if the runtime refuses it, the whole graph is trained instead. */
  async #opens(cache: PrefixCache): Promise<boolean> {
    try {
      await cache.open();
      return true;
    } catch (error) {
      if (!(error instanceof OnnxLoraError) || error.code !== 'RUNTIME_FAILED') throw error;
      this.#prefix = { kept: false, reason: `the runtime cannot load what lies below: ${error.message}` };
      this.#isPrefixRefused = true;
      return false;
    }
  }

  async #prefixCache(
    prefix: FrozenPrefix | string | undefined,
    shapes: string,
    prepack: boolean,
  ): Promise<PrefixCache | undefined> {
    if (prefix === undefined) return undefined;
    if (typeof prefix === 'string') {
      this.#prefix = { kept: false, reason: prefix };
      return undefined;
    }
    const { runtime, session: options, name, prefix: asked } = this.#request;
    const { model, nodes, share, bytesPerExample, kept, rows } = prefix;
    const { bytes, folder, examples } = asked!;
    const store = (this.#rowStore ??=
      folder === undefined ? new MemoryRows(bytes) : await RowFile.create(folder, bytes));
    this.#prefix = { kept: true, nodes, share, bytesPerExample, where: folder === undefined ? 'memory' : 'file' };
    const open = async (): Promise<Session> =>
      // Engines of plugins verify what they compute.
      runtime.createSession(await preparedSource(model, name), { ...options, prepack, ...(providerNames.includes(options?.provider ?? 'auto') && { verify: false }) }); // prettier-ignore
    return new PrefixCache({ open, kept, rows, store, shapes, examples });
  }
}

/** Feeds of a graph without its prefix: inputs it still reads, and the kept values. */
async function withPrefix({ session, prefix }: Compiled, inputs: Feeds, examples: readonly number[]): Promise<Feeds> {
  const read = new Set(session.inputNames);
  const still = Object.entries(inputs).filter(([name]) => read.has(name));
  return { ...Object.fromEntries(still), ...(await prefix!.values(inputs, examples)) };
}
