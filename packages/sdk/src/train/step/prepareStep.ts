/** @file Prepares a step: its graph, for the rows computed at once, and its feeds. */

import { runInSlices } from '../../graph/eventLoop.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { declaredType } from '../../ops/inferGraph.ts';
import { type Feeds, float32, type Tensor } from '../../runtime/tensor.ts';
import type { MaskDrawer } from '../dropout.ts';
import { type PreparedTraining, prepareTraining, type TrainingGraph } from '../graph/trainingGraph.ts';
import type { ParameterSet } from '../parameters.ts';
import type { PrefixLimits } from '../prefix/split.ts';
import { cut, type Piece, pieceRows, rowsOf } from './microBatch.ts';
import type { GradientStepRequest } from './stepRequest.ts';

/** The forward half of a step's graph. */
export interface PreparedStep {
  readonly prepared: PreparedTraining;
  /** Rows per run; undefined if a batch is computed at once. */
  readonly rows: number | undefined;
  /** Rows of the batch, if its feeds agree. */
  readonly total: number | undefined;
  /** The part of the batch that the graph is built for. */
  readonly piece: Piece;
}

/** Prepares the graph for a batch, or for a piece of it. */
export async function prepareStep(
  request: GradientStepRequest,
  inputs: Feeds,
  targets: Feeds,
  room?: PrefixLimits,
): Promise<PreparedStep> {
  const { base, lossWeight, precision, pieceRows: choose = pieceRows, session } = request;
  const lossScale = request.lossScale && precision?.name === 'float16' ? 'always' : (request.lossScale ?? false);
  const own = { ...request, lossScale, prefix: room };
  const whole = { inputs, targets };
  const prepared = await runInSlices(prepareTraining({ ...own, ...whole }));
  const total = rowsOf(inputs, targets);
  const rows =
    total === undefined
      ? 0
      : choose(total, prepared.forwardBytes, prepared.products, { threads: session?.threads, precision });
  if (!lossWeight || total === undefined || rows >= total || !takesAnyBatch(base, inputs))
    return { prepared, rows: undefined, total, piece: whole };
  const [piece] = cut(inputs, targets, rows, total) as [Piece];
  return {
    prepared: await runInSlices(prepareTraining({ ...own, ...piece, pieces: total / rows })),
    rows,
    total,
    piece,
  };
}

/** Whether the batch size is variable; a model exported for a fixed batch cannot take a part of it. */
export function takesAnyBatch({ graph }: ModelProto, inputs: Feeds): boolean {
  const fed = (graph?.input ?? []).filter(({ name = '' }) => inputs[name]);
  return fed.every((info) => typeof declaredType(info).shape?.[0] !== 'number');
}

/** Feeds of one run of a step's graph. */
export function stepFeeds(
  graph: TrainingGraph,
  parameters: ParameterSet,
  masks: MaskDrawer,
  { inputs, targets }: Piece,
  lossScale: number,
): Feeds {
  const feeds: Record<string, Tensor> = { ...inputs };
  for (const [name, tensor] of Object.entries(targets)) feeds[graph.targetNames[name]!] = tensor;
  for (const { input, fed } of parameters.fed()) feeds[input.name] = fed;
  if (graph.lossScale !== undefined) feeds[graph.lossScale] = float32([lossScale], []);
  for (const [name, mask] of masks.next(graph.masks)) feeds[name] = mask;
  return feeds;
}
