/** @file Which products of a step must stay in float32: those that are too far off in a precision, on a batch of the data. */

import { sessionModel } from '../../graph/file/onnxFile.ts';
import type { GraphProto } from '../../graph/proto.ts';
import { inTurns } from '../../graph/turns.ts';
import { scopeOf } from '../../match/modulePath.ts';
import { frozenProducts } from '../../ops/precision/frozenProducts.ts';
import { type BasePrecision, withProductErrors } from '../../ops/precision/precision.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import { MaskDrawer } from '../dropout.ts';
import { isOfGradient } from '../graph/trainingGraph.ts';
import type { Products } from './microBatch.ts';
import { prepareStep, stepFeeds } from './prepareStep.ts';
import type { GradientStepRequest } from './stepRequest.ts';

/** Error of a product above which it stays in float32, in parts of its norm. A weight of 7 bits alone is off by about 0.02. */
const MOST = 0.05;

/** A product, and how far it is off. */
export interface MeasuredProduct {
  /** As the precision calls it: `backward head.weight`. */
  readonly name: string;
  /** The module that it belongs to; its weight where no module is known. */
  readonly module: string;
  /** Euclidean norm of the difference to float32, in parts of that of the product. */
  readonly error: number;
}

/** A precision for this model and these data. */
export interface MeasuredPrecision {
  /** The precision, which now says what stays in float32. */
  readonly precision: BasePrecision;
  /** Products that can be computed in it, in the order of the graph. */
  readonly products: readonly MeasuredProduct[];
}

/**
 * Runs one step in float32 with every product in integers beside it. Nothing is changed.
 *
 * @throws OnnxLoraError as `Trainer.compile`
 */
export async function measurePrecision(
  request: GradientStepRequest & { readonly precision: BasePrecision },
  inputs: Feeds,
  targets: Feeds,
): Promise<MeasuredPrecision> {
  const { precision, prefix: _, ...inFloats } = request;
  const { runtime, session: options, name, seed = 0, drawMask, parameters } = request;
  const own = { ...inFloats, precision: undefined, pieceRows: fewRows };
  const { prepared, piece } = await prepareStep(own, inputs, targets);
  const graph = await inTurns(prepared.build());
  const { model, errors } = await inTurns(withProductErrors(graph.model, precision, isOfGradient));
  const modules = modulesByWeight(graph.model.graph ?? {});
  const session = await runtime.createSession(
    { ...sessionModel(model), name },
    { ...options, purpose: 'training', prepack: false, mergesEqual: !graph.recomputes },
  );
  try {
    const feeds = stepFeeds(graph, parameters(graph.inputs), new MaskDrawer(seed, drawMask), piece, 1);
    const read = new Set(session.inputNames);
    const outputs = await session.run(Object.fromEntries(Object.entries(feeds).filter(([each]) => read.has(each))));
    const products = errors.map(({ name: product, weight, output }): MeasuredProduct => ({
      name: product,
      module: modules.get(weight) ?? weight,
      error: Number(outputs[output]!.data[0]),
    }));
    // Of nothing but zeros there is no error: 0 / 0.
    const inFloat32 = [...new Set(products.flatMap((each) => (each.error > MOST ? [each.name] : [])))];
    return { precision: { ...precision, inFloat32 }, products };
  } finally {
    await session.release();
  }
}

/** Rows of products by which an error is known well enough. */
const PRODUCT_ROWS = 128;

/** As few examples as give products so many rows: float32 and integers beside each other take memory. */
function fewRows(total: number, _: number, { rows }: Products): number {
  const divisors = Array.from({ length: total }, (__, i) => i + 1).filter((each) => total % each === 0);
  return divisors.find((each) => (rows * each) / total >= PRODUCT_ROWS) ?? total;
}

/** The module of each weight, by what the exporter calls the forward product. */
function modulesByWeight(graph: GraphProto): ReadonlyMap<string, string> {
  const modules = new Map<string, string>();
  for (const [node, { weight }] of frozenProducts(graph, 1)) {
    const scope = isOfGradient(node) ? undefined : scopeOf(node);
    if (scope !== undefined) modules.set(weight.name!, scope);
  }
  return modules;
}
