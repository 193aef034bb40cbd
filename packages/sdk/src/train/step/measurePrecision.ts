/** @file Selects the products of a step that must stay in float32, by their errors and the gradients' directions. */

import { sessionModel } from '../../ops/session/sessionModel.ts';
import type { GraphProto, ModelProto } from '../../graph/proto.ts';
import { runInSlices } from '../../graph/eventLoop.ts';
import { scopeOf } from '../../match/modulePath.ts';
import { frozenProducts } from '../../ops/precision/frozenProducts.ts';
import {
  type ProductPrecision,
  type HalfPrecision,
  inPrecision,
  type IntegerPrecision,
} from '../../ops/precision/precision.ts';
import {
  errorModels,
  type ProductError,
  type SampledModel,
  withHalfErrors,
  withSamples,
} from '../../ops/precision/productErrors.ts';
import { collectGarbage } from '../../runtime/garbage.ts';
import type { Feeds, Tensor } from '../../runtime/tensor.ts';
import { MaskDrawer } from '../dropout.ts';
import { type Comparison, comparisonOf } from '../graph/comparingLoss.ts';
import { isOfGradient, type TrainingGraph } from '../graph/trainingGraph.ts';
import { ComparingStep } from './comparingStep.ts';
import { keptMeasurement } from './keptMeasurement.ts';
import { LossScale } from './lossScale.ts';
import type { MeasuredPrecision, MeasuredProduct } from './measuredPrecision.ts';
import type { Piece, Products } from './microBatch.ts';
import { prepareStep, stepFeeds } from './prepareStep.ts';
import { runInParts } from './runInParts.ts';
import type { GradientStepRequest } from './stepRequest.ts';

/** Largest relative error of a product in reduced precision. Rounding alone causes 0.01 to 0.02. */
const MOST = 0.05;
/** Least cosine of each tensor's gradient with that of float32. */
const LEAST_COSINE = 0.995;
/** Largest relative error of the loss. */
const MOST_OF_LOSS = 0.02;

/**
 * Runs a step in float32 and its products in the precision (samples of them for integers), then steps with ever more
 * products in float32 until every gradient has a cosine of 0.995 with float32's and the loss is within 2%. No side
 * effects.
 * @param few a smaller batch for measuring products, if rows are compared; gradients use the whole
 * @throws OnnxLoraError as `Trainer.compile`
 */
export async function measurePrecision(
  request: GradientStepRequest & { readonly precision: ProductPrecision },
  batch: Piece,
  few: Piece = batch,
): Promise<MeasuredPrecision> {
  try {
    return await measure(request, batch, few);
  } finally {
    // The compared values take as much memory as a step.
    collectGarbage();
  }
}

async function measure(
  request: GradientStepRequest & { readonly precision: ProductPrecision },
  batch: Piece,
  few: Piece,
): Promise<MeasuredPrecision> {
  const { precision, prefix: _, ...inFloats } = request;
  const { seed = 0, drawMask, parameters } = request;
  const isHalf = precision.name === 'float16';
  const own = {
    ...inFloats,
    ...(isHalf && { lossScale: 'always' as const }),
    precision: undefined,
    pieceRows: fewRows,
  };
  const { prepared, piece } = await prepareStep(own, few.inputs, few.targets);
  const graph = await runInSlices(prepared.build());
  // Called once: it may draw random values.
  const initial = parameters(graph.inputs);
  // Values passed between parts are briefly held twice, and must not leave a GPU.
  const isInParts = !isHalf && graph.weightBytes > graph.forwardBytes;
  const run: RunStep = (model, scale) => {
    const feeds = stepFeeds(graph, initial, new MaskDrawer(seed, drawMask), piece, scale);
    const once = (part: ModelProto, fed: Feeds): Promise<Feeds> => runOnce(part, fed, request, graph.recomputes);
    return isInParts ? runInParts(model, feeds, once) : once(model, feeds);
  };
  const comparison = few === batch ? undefined : comparisonOf(request.loss);
  const measured = async (): Promise<MeasuredPrecision> => {
    const first = isHalf
      ? await measureHalves(graph.model, precision, run)
      : await measureIntegers(graph.model, precision, request, run);
    collectGarbage(graph.weightBytes + graph.forwardBytes);
    const { products, exact, lossScale, convolutions = new Set() } = first;
    const tooFar = unique(products.filter(({ error }) => error > MOST));
    const stepIn = async (found: ProductPrecision | undefined): Promise<Step> => {
      if (comparison)
        return comparedStep({ ...own, parameters: () => initial, precision: found }, comparison, batch, lossScale);
      if (!found) return stepOf(graph, exact);
      return stepOf(graph, await run(await runInSlices(inPrecision(graph.model, found, isOfGradient)), lossScale ?? 1));
    };
    const wanted = await stepIn(undefined);
    for (const forGradients of leftOut(
      products.filter(({ name }) => !tooFar.includes(name)),
      convolutions,
    )) {
      const found = { ...precision, inFloat32: [...tooFar, ...forGradients] };
      const isExact = found.inFloat32.length === unique(products).length;
      const step = isExact ? wanted : await stepIn(found);
      const cosine = Math.min(1, ...gradientCosines(wanted.gradients, step.gradients).values());
      const off = Math.abs(step.loss - wanted.loss) / (Math.abs(wanted.loss) || 1);
      if (isExact || (cosine >= LEAST_COSINE && off <= MOST_OF_LOSS))
        return { precision: found, products, cosine, lossError: off, forGradients, lossScale };
    }
    throw new Error('The last try leaves everything in float32.');
  };
  // Masks of one's own may change from run to run.
  if (drawMask) return measured();
  const fed = stepFeeds(graph, initial, new MaskDrawer(seed), piece, 1);
  const feeds = [fed, ...(comparison ? [batch.inputs, batch.targets] : [])];
  const settings = [precision, request.session ?? {}];
  return keptMeasurement(
    { model: graph.model, weightBytes: graph.weightBytes, feeds, settings, name: request.name },
    measured,
  );
}

interface Step {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Pick<Tensor, 'data'>>;
}

function stepOf({ loss, gradients }: TrainingGraph, outputs: Feeds): Step {
  const own = [...gradients.values()].map((name) => [name, outputs[name]!] as const);
  return { loss: Number(outputs[loss]!.data[0]), gradients: new Map(own) };
}

/** The step of a loss that compares rows, in parts if the batch is large. */
async function comparedStep(
  request: GradientStepRequest,
  comparison: Comparison,
  { inputs, targets }: Piece,
  lossScale?: number,
): Promise<Step> {
  const { pieceRows: _, ...asTrained } = request;
  const step = new ComparingStep(asTrained, comparison);
  try {
    const { loss, gradients } = await step.lossAndGradients(inputs, targets, lossScale);
    return { loss, gradients: new Map([...gradients].map(([name, data]) => [name, { data }])) };
  } finally {
    await step.release();
  }
}

/** Runs a model of the step, with this loss scale if it takes one. */
type RunStep = (model: ModelProto, scale: number) => Promise<Feeds>;

/** Product errors, and the step's results in float32. */
interface FirstRun extends Pick<MeasuredPrecision, 'products' | 'lossScale'> {
  readonly exact: Feeds;
  /** Names of integer convolutions. */
  readonly convolutions?: ReadonlySet<string>;
}

async function measureIntegers(
  model: ModelProto,
  precision: IntegerPrecision,
  request: GradientStepRequest,
  run: RunStep,
): Promise<FirstRun> {
  const sampled = withSamples(model, precision, isOfGradient);
  const exact = await run(sampled.model, 1);
  const convolutions = new Set(sampled.errors.map(({ name }) => name));
  return { exact, products: await measureProducts(sampled, exact, precision, request), convolutions };
}

/** Measured with the loss scale of a run: lowered while that reduces overflows. */
async function measureHalves(model: ModelProto, precision: HalfPrecision, run: RunStep): Promise<FirstRun> {
  const modules = modulesByWeight(model.graph ?? {});
  const { model: measuring, errors } = withHalfErrors(model, precision, isOfGradient);
  const measure = async (lossScale: number): Promise<FirstRun> => {
    const exact = await run(measuring, lossScale);
    const products = productsFrom(errors, exact, modules);
    return { exact, products, lossScale };
  };
  const { value } = new LossScale();
  let best = await measure(value);
  for (let scale = value / 16; overflown(best) > 0 && scale >= 1; scale /= 16) {
    const lower = await measure(scale);
    if (overflown(lower) < overflown(best)) best = lower;
  }
  return best;
}

/** Product errors from outputs; NaN counts as infinite. */
function productsFrom(
  errors: readonly ProductError[],
  outputs: Feeds,
  modules: ReadonlyMap<string, string>,
): MeasuredProduct[] {
  return errors.map(({ name, weight, output }) => {
    const error = Number(outputs[output]!.data[0]);
    return { name, module: modules.get(weight) ?? weight, error: Number.isNaN(error) ? Infinity : error };
  });
}

/** Number of gradient products that overflow. */
function overflown({ products }: FirstRun): number {
  return products.filter(({ name, error }) => error === Infinity && name.startsWith('backward')).length;
}

/** Products to keep in float32 besides inaccurate ones: none, convolutions, then other forward products. */
function leftOut(
  products: readonly MeasuredProduct[],
  convolutions: ReadonlySet<string>,
): readonly (readonly string[])[] {
  const sorted = products.toSorted((a, b) => b.error - a.error);
  const named = (is: (name: string) => boolean): string[] => unique(sorted.filter(({ name }) => is(name)));
  const heard = named((name) => convolutions.has(name));
  const forward = named((name) => !name.startsWith('backward') && !convolutions.has(name));
  const backward = named((name) => name.startsWith('backward'));
  const half = (names: readonly string[]): readonly string[] => names.slice(0, Math.ceil(names.length / 2));
  const all = [...heard, ...forward];
  const first = heard.length > 0 ? [[], heard] : [[]];
  return [...first, [...heard, ...half(forward)], all, [...all, ...half(backward)], [...all, ...backward]];
}

/** A weight may be in several products. */
function unique(products: readonly MeasuredProduct[]): string[] {
  return [...new Set(products.map(({ name }) => name))];
}

async function measureProducts(
  sampled: SampledModel,
  outputs: Feeds,
  precision: IntegerPrecision,
  request: GradientStepRequest,
): Promise<readonly MeasuredProduct[]> {
  const modules = modulesByWeight(sampled.model.graph ?? {});
  const measured = productsFrom(sampled.errors, outputs, modules);
  for (const { model, errors } of errorModels(sampled, precision, isOfGradient)) {
    measured.push(...productsFrom(errors, await runOnce(model, outputs, request, false), modules));
  }
  return measured;
}

async function runOnce(
  model: ModelProto,
  feeds: Feeds,
  { runtime, session: options, name }: GradientStepRequest,
  recomputes: boolean,
): Promise<Feeds> {
  const session = await runtime.createSession(
    { ...sessionModel(model), name },
    { ...options, purpose: 'training', prepack: false, mergesEqual: !recomputes },
  );
  try {
    const read = new Set(session.inputNames);
    return await session.run(Object.fromEntries(Object.entries(feeds).filter(([each]) => read.has(each))));
  } finally {
    await session.release();
  }
}

/** Gradients smaller than the largest by this factor are zero in theory, except for rounding. */
const NEGLIGIBLE = 1e-4;

/** Cosine of each gradient with the exact one, by name, without those that are zero up to rounding. */
export function gradientCosines(exact: Step['gradients'], found: Step['gradients']): ReadonlyMap<string, number> {
  const sizes = new Map(
    [...exact].map(([name, tensor]) => [name, Math.sqrt(dot(tensor, tensor) / tensor.data.length)]),
  );
  const least = NEGLIGIBLE * Math.max(0, ...sizes.values());
  return new Map(
    [...exact].flatMap(([name, tensor]): [string, number][] => {
      if (sizes.get(name)! <= least) return [];
      const other = found.get(name);
      return [[name, other ? dot(tensor, other) / Math.sqrt(dot(tensor, tensor) * dot(other, other) || 1) : NaN]];
    }),
  );
}

function dot(a: Pick<Tensor, 'data'>, b: Pick<Tensor, 'data'>): number {
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) sum += Number(a.data[i]) * Number(b.data[i]);
  return sum;
}

/** Rows of a product that determine its error well enough. */
const PRODUCT_ROWS = 128;

/** The fewest examples that give products enough rows: float32 and integer results together take memory. */
function fewRows(total: number, _: number, { rows }: Products): number {
  const divisors = Array.from({ length: total }, (__, i) => i + 1).filter((each) => total % each === 0);
  return divisors.find((each) => (rows * each) / total >= PRODUCT_ROWS) ?? total;
}

/** The module of each weight, by its forward product's exported name. */
function modulesByWeight(graph: GraphProto): ReadonlyMap<string, string> {
  const modules = new Map<string, string>();
  for (const [node, { weight }] of frozenProducts(graph, 1, { convolutions: true })) {
    const scope = isOfGradient(node) ? undefined : scopeOf(node);
    if (scope !== undefined) modules.set(weight.name!, scope);
  }
  return modules;
}
