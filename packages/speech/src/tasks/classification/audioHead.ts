/** @file The head that answers about sound: the model's own where it knows the labels, or a new one. */

import { chooseHead, noHead, type TaskHead, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { AudioPorts } from './audioPorts.ts';

/**
 * The head for labels of these names. An encoder without one gets one on the mean of its frames, as transformers' classifiers of
 * wav2vec2's kind and of Whisper's encoder have it; AST's, on its pooled output.
 *
 * @see transformers, `Wav2Vec2ForSequenceClassification`, `WhisperForAudioClassification`, `ASTForAudioClassification`
 * @throws OnnxLoraError as `chooseHead` of the SDK
 */
export function audioHead(
  model: TaskModel,
  { head }: AudioPorts,
  names: readonly string[],
  choice: { readonly root: string; readonly mode: 'auto' | 'new' | 'keep' },
): TaskHead {
  return chooseHead(model, head, names, { ...choice, attach: attached });
}

function attached(model: TaskModel, labels: readonly string[]): TaskHead {
  const { pooler_output: pooler, last_hidden_state: states } = model.outputs;
  if (pooler?.dims?.length === 2)
    return { output: 'logits', labels, head: { output: 'pooler_output', labels, attach: { pool: 'all' } } };
  if (states?.dims?.length === 3)
    return { output: 'logits', labels, head: { output: 'last_hidden_state', labels, attach: { pool: 'mean' } } };
  const isTranscriber = model.outputs['logits']?.dims?.length === 3;
  throw noHead(
    model,
    isTranscriber
      ? 'Its scores are for each frame, as a transcriber has them'
      : 'It gives neither scores nor features of sound',
  );
}
