/** @file Loss and gradients of a batch whose rows are compared, at once or part by part. */

import { subgraphs } from '../../graph/walk.ts';
import type { ProviderReport } from '../../runtime/session.ts';
import type { Feeds, Tensor } from '../../runtime/tensor.ts';
import type { MaskDrawer } from '../dropout.ts';
import { type BatchPart, type Comparison, featuresOnly, partLoss, targetsOfParts } from '../graph/comparingLoss.ts';
import type { ParameterSet } from '../parameters.ts';
import type { PrefixReport } from '../prefix/split.ts';
import { type BatchRuns, targetsOfRun, sortedByWork, inBatchOrder, groupedInRuns, numbersOf } from './batchParts.ts';
import type { LossAndGradients } from './gradientMean.ts';
import { GradientStep } from './gradientStep.ts';
import { pieceRows, rowsOf } from './microBatch.ts';
import { prepareStep, takesAnyBatch } from './prepareStep.ts';
import type { CompiledStep, GradientStepRequest, MemoryPlan } from './stepRequest.ts';

/**
 * Bytes of forward values above which a batch is computed in parts by default. Measured on one thread with 32 text
 * pairs: parts that fit the processor's cache make a step 9 % faster, although features are computed twice.
 */
const LARGE_BYTES = 128 << 20;

/** Fewest rows of a half that is split off to save padding. */
const FEWEST = 8;

/** Highest share of a batch's elements that makes two halves worthwhile. */
const WORTH = 0.85;

/** A batch in runs, with their graphs. */
interface RunBatch extends BatchRuns {
  readonly graphs: PartGraphs;
}

/** The graphs for a number of runs, each with branches for parts of the batch. */
interface PartGraphs {
  readonly runs: number;
  /** Computes a run's features without gradients. */
  readonly features: GradientStep;
  readonly step: GradientStep;
}

/**
 * Gradients of a loss that compares rows. For a large batch, the features of all runs but the first are computed
 * without gradients; then each run computes its gradients with the others' features, and the first also its own. With
 * equal parameters and dropout masks, the sum is the batch's gradient.
 */
export class ComparingStep {
  readonly #request: GradientStepRequest;
  readonly #comparison: Comparison;
  readonly #whole: GradientStep;
  /** By number of branches. */
  readonly #graphs = new Map<number, PartGraphs>();
  #parameters: ParameterSet | undefined;
  /** By the shapes of batches. */
  readonly #sizes = new Map<string, { readonly bytes: number; readonly rows: number }>();
  /** The step of the latest batch. */
  #last: GradientStep;
  /** Rows of that batch, and rows computed at once. */
  #taken = { batchRows: 1, rows: 1 };

  /** Builds nothing until the first batch sets the shapes. */
  constructor(request: GradientStepRequest, comparison: Comparison) {
    this.#comparison = comparison;
    this.#request = { ...request, parameters: (inputs) => (this.#parameters ??= request.parameters(inputs)) };
    this.#whole = new GradientStep(this.#request);
    this.#last = this.#whole;
  }

  #stepOf(own: Partial<GradientStepRequest>): GradientStep {
    const { prefix: _, ...request } = this.#request;
    return new GradientStep({ ...request, ...own });
  }

  get masks(): MaskDrawer {
    return this.#whole.masks;
  }

  get parameters(): ParameterSet | undefined {
    return this.#parameters;
  }

  get prefix(): PrefixReport | undefined {
    return this.#last === this.#whole
      ? this.#whole.prefix
      : { kept: false, reason: 'a batch is compared part by part' };
  }

  get isScaled(): boolean {
    return this.#last.isScaled;
  }

  get memoryPlan(): MemoryPlan | undefined {
    const plan = this.#last.memoryPlan;
    return plan && this.#last !== this.#whole ? { ...plan, ...this.#taken } : plan;
  }

  async compile(inputs: Feeds, targets: Feeds, examples?: readonly number[]): Promise<CompiledStep> {
    const [own, held] = await this.#first(inputs, targets);
    return this.#last.compile(own, held, examples);
  }

  async providerReport(inputs: Feeds, targets: Feeds, examples?: readonly number[]): Promise<ProviderReport> {
    const [own, held] = await this.#first(inputs, targets);
    return this.#last.providerReport(own, held, examples);
  }

  /** The feeds of a batch's first graph. */
  async #first(inputs: Feeds, targets: Feeds): Promise<[Feeds, Feeds]> {
    const batch = await this.#runsOf(inputs, targets);
    if (!batch) return [inputs, targets];
    return [batch.runs[0]![0]!.inputs, targetsOfRun(batch, await this.#features(batch), 0)];
  }

  async lossAndGradients(
    inputs: Feeds,
    targets: Feeds,
    lossScale = 1,
    examples?: readonly number[],
  ): Promise<LossAndGradients> {
    const batch = await this.#runsOf(inputs, targets);
    const step = this.#last;
    if (!batch) return step.lossAndGradients(inputs, targets, lossScale, examples);
    const { masks } = this;
    const { runs: drawn } = masks;
    let loss = 0;
    const sums = new Map<string, Float32Array>();
    const features = await this.#features(batch);
    for (const [i, [first]] of batch.runs.entries()) {
      step.masks.runs = drawn + i;
      const own = await step.lossAndGradients(first!.inputs, targetsOfRun(batch, features, i), lossScale);
      features[i] ??= own.features;
      loss += own.loss;
      for (const [name, gradient] of own.gradients) {
        const sum = sums.get(name);
        if (sum) gradient.forEach((value, at) => (sum[at]! += value));
        else sums.set(name, gradient);
      }
    }
    // Masks are counted if a graph has some.
    if (step.masks.runs === drawn + batch.runs.length) masks.runs = step.masks.runs;
    return { loss, gradients: sums, weight: 1 };
  }

  /** The features of all runs but the first. */
  async #features({ runs, graphs }: RunBatch): Promise<(Tensor | undefined)[]> {
    const features: (Tensor | undefined)[] = [undefined];
    for (const [i, parts] of runs.entries()) {
      if (i === 0) continue;
      graphs.features.masks.runs = this.masks.runs + i;
      const run = await graphs.features.lossAndGradients(parts[0]!.inputs, targetsOfParts(parts, {}));
      features.push(run.features);
    }
    return features;
  }

  /** Splits the batch; undefined if it is computed at once. */
  async #runsOf(inputs: Feeds, targets: Feeds): Promise<RunBatch | undefined> {
    this.#last = this.#whole;
    const total = rowsOf(inputs, targets);
    if (total === undefined || !takesAnyBatch(this.#request.base, inputs)) return undefined;
    const parts = (rows: number): readonly BatchPart[] | undefined => this.#comparison.parts?.(inputs, targets, rows);
    const isPlain = !(this.#request.base.graph?.node ?? []).some((node) => subgraphs(node).length > 0);
    const halves = isPlain && total % 2 === 0 && total >= 2 * FEWEST ? parts(total / 2) : undefined;
    const sum = halves?.reduce((numbers, half) => numbers + numbersOf(half.inputs), 0) ?? Infinity;
    const share = Math.min(1, sum / numbersOf(inputs));
    const { bytes, rows } = await this.#sizeOf(inputs, targets, total);
    const { memory = 'auto' } = this.#request;
    const isLarge = share * bytes > (memory === 'auto' ? LARGE_BYTES : memory) && rows < total;
    if (!isLarge && (!halves || share > WORTH)) return undefined;
    const [each, branches] = isLarge ? [rows, 1] : [total / 2, 2];
    const runs = groupedInRuns(
      sortedByWork((isLarge ? parts(each) : halves) ?? inBatchOrder(inputs, targets, each, total)),
      branches,
    );
    const graphs = await this.#graphsFor(runs.length, branches);
    this.#last = graphs.step;
    this.#taken = { batchRows: total, rows: each * branches };
    return { runs, targets, total, graphs };
  }

  async #graphsFor(runs: number, branches: number): Promise<PartGraphs> {
    const known = this.#graphs.get(branches);
    if (known?.runs === runs) return known;
    if (known) await releaseGraphs(known);
    const stepOf = (own: Partial<GradientStepRequest>): GradientStep => this.#stepOf({ parts: branches, ...own });
    const graphs = {
      runs,
      step: stepOf({ loss: partLoss(this.#comparison, branches), shares: runs }),
      features: stepOf({ loss: featuresOnly(this.#comparison, branches), featuresOnly: true }),
    };
    this.#graphs.set(branches, graphs);
    return graphs;
  }

  /** Forward bytes of a batch, and the rows of its parts. */
  async #sizeOf(
    inputs: Feeds,
    targets: Feeds,
    total: number,
  ): Promise<{ readonly bytes: number; readonly rows: number }> {
    const shapes = Object.values(inputs).map(({ dims }) => dims.join()).join(';'); // prettier-ignore
    const known = this.#sizes.get(shapes);
    if (known) return known;
    const { pieceRows: choose = pieceRows, session, precision } = this.#request;
    const { prepared } = await prepareStep({ ...this.#request, memory: 'auto' }, inputs, targets);
    const found = {
      bytes: prepared.forwardBytes,
      rows: choose(total, prepared.forwardBytes, prepared.products, { threads: session?.threads, precision }),
    };
    this.#sizes.set(shapes, found);
    return found;
  }

  /** Releases the native sessions. */
  async release(): Promise<void> {
    await this.#whole.release();
    for (const graphs of this.#graphs.values()) await releaseGraphs(graphs);
  }
}

async function releaseGraphs({ step, features }: PartGraphs): Promise<void> {
  await step.release();
  await features.release();
}
