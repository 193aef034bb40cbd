/** @file Which writer a file of embeddings takes. */

import { extname } from 'node:path';
import type { AnswerWriter, Prediction } from '@onnx-lora/sdk/tasks';
import { type EmbeddingAnswer, embeddingAnswer } from './embeddingRows.ts';
import { NpzWriter, ResidueNpzWriter } from './npzWriter.ts';
import { ResidueSafetensorsWriter, SafetensorsWriter } from './safetensorsWriter.ts';

/** A writer of embeddings. */
interface EmbeddingWriter extends Omit<AnswerWriter, 'write'> {
  write(answer: EmbeddingAnswer): Promise<void>;
}

const writers: Readonly<
  Record<string, Record<'sequence' | 'residue', { create(path: string): Promise<EmbeddingWriter> }>>
> = {
  '.npz': { sequence: NpzWriter, residue: ResidueNpzWriter },
  '.safetensors': { sequence: SafetensorsWriter, residue: ResidueSafetensorsWriter },
};

/** Endings of files that {@link embeddingWriter} writes. */
export const embeddingEndings: readonly string[] = Object.keys(writers);

/**
 * What writes embeddings to a .npz or .safetensors file, with constant memory; undefined for other endings.
 *
 * @param of whether there is one embedding per sequence, or one per residue
 */
export function embeddingWriter(path: string, of: 'sequence' | 'residue'): AnswerWriter | undefined {
  const kind = writers[extname(path).toLowerCase()]?.[of];
  if (!kind) return undefined;
  let opened: Promise<EmbeddingWriter> | undefined;
  const open = (): Promise<EmbeddingWriter> => (opened ??= kind.create(path));
  return {
    write: async (prediction: Prediction) => (await open()).write(embeddingAnswer(prediction)),
    finish: async () => (await open()).finish(),
    abort: async () => (await opened)?.abort(),
  };
}
