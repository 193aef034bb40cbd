/** @file Masks attention between texts packed into one row. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';
import type { PreparedTask, TaskModel } from '@onnx-lora/sdk/tasks';
import { attentionsOf, isRotary } from './attentions.ts';

/** The target with each token's segment, int64 `[batch, tokens]`. */
export const SEGMENTS = 'segments';

/** Small enough for a weight of 0, also in half precision; finite when added to a mask. */
const FAR = -1e4;

/**
 * A bias on the scores of all attentions of a training graph: 0 within a segment, −10⁴ between segments.
 * @param positions the graph's input for positions, which restart with each text; undefined without one
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` as {@link attentionsOf}, and for non-rotary positions that the graph counts
 * itself
 */
export function segmentBias(model: TaskModel, positions: string | undefined): NonNullable<PreparedTask['inside']> {
  const attentions = attentionsOf(model, 'Packing');
  if (positions === undefined && !isRotary(model)) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `Packing begins positions again with each conversation, but "${model.name}" has no input position_ids, and its positions are not rotary, so that later conversations of a row would stand where none begins. Export it with position_ids, or leave packing out.`,
    );
  }
  return Object.fromEntries(
    attentions.map(({ scores }) => [
      scores,
      (g, own, { targets: { [SEGMENTS]: segments } }) => {
        if (!segments) return own;
        const type = own.type ?? 'float32';
        const isSame = g.Equal(g.Unsqueeze(segments, [1, 3]), g.Unsqueeze(segments, [1, 2]));
        const bias = g.Where(isSame, g.scalar(0), g.scalar(FAR));
        return g.Add(own, type === 'float32' ? bias : g.Cast(bias, dataTypeNumber(type)));
      },
    ]),
  );
}
