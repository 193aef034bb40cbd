/** @file From protein sequences to what an ESM is fed. */

import { int64, OnnxLoraError, type Feeds, type TaskModel } from '@onnx-lora/sdk';
import { EsmTokenizer } from './tokenizers/esmTokenizer.ts';

/** Choices of a `SequencePreprocessor`. */
export interface SequenceOptions {
  /** Tokens per sequence, `<cls>` and `<eos>` included; the end of a longer sequence is cut off. 1024, as ESM-2 was trained. */
  readonly maxLength?: number;
}

/**
 * Makes batches of sequences. It is no `PreprocessorFactory` of the SDK, which makes one tensor of one file: a FASTA
 * file holds many sequences, and a sequence becomes two tensors whose length the batch decides.
 */
export class SequencePreprocessor {
  readonly tokenizer: EsmTokenizer;
  readonly #maxLength: number;
  readonly #mask: boolean;

  /** @param mask whether the model has an input `attention_mask` */
  constructor(tokenizer: EsmTokenizer, { maxLength = 1024 }: SequenceOptions = {}, mask: boolean = true) {
    this.tokenizer = tokenizer;
    this.#maxLength = maxLength;
    this.#mask = mask;
  }

  /**
   * The preprocessor for `model`, with the vocabulary in its folder.
   *
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` when the graph takes no `input_ids`, `FILE_NOT_FOUND` without a
   * `vocab.txt`, `CONFIG_INVALID` when the vocabulary and config.json contradict each other
   */
  static async forModel(model: TaskModel, options: SequenceOptions = {}): Promise<SequencePreprocessor> {
    if (model.inputs['input_ids']?.type !== 'int64') {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `"${model.name}" has no int64 input "input_ids"; its inputs are ${Object.keys(model.inputs).join(', ') || 'none'}. Give a model that reads token ids.`,
      );
    }
    if (model.folder === undefined) {
      throw new OnnxLoraError(
        'FILE_NOT_FOUND',
        `"${model.name}" is a file alone, but its vocab.txt is needed. Open the folder that holds both.`,
      );
    }
    const tokenizer = await EsmTokenizer.read(model.folder);
    const size = model.config?.['vocab_size'];
    if (typeof size === 'number' && tokenizer.size > size) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `vocab.txt in "${model.folder}" holds ${tokenizer.size} tokens, but config.json says the model knows ${size}. Use the files that came with the model.`,
      );
    }
    return new SequencePreprocessor(tokenizer, options, 'attention_mask' in model.inputs);
  }

  /**
   * Feeds of one batch, padded to its longest row: `input_ids` and, where the model takes it, `attention_mask` (1 for
   * tokens, 0 for padding), both int64 `[batch, tokens]`.
   *
   * @throws OnnxLoraError `INPUT_INVALID` when there is no sequence
   */
  feeds(sequences: readonly string[]): Feeds {
    if (sequences.length === 0) throw new OnnxLoraError('INPUT_INVALID', 'A batch needs at least one sequence.');
    const rows = sequences.map((sequence) => this.tokenizer.encode(sequence, this.#maxLength));
    const length = rows.reduce((max, row) => Math.max(max, row.length), 0);
    const dims = [rows.length, length];
    const padded = (row: readonly number[]): number[] =>
      Array.from({ length }, (_, i) => row[i] ?? this.tokenizer.padId);
    const input_ids = int64(rows.flatMap(padded), dims);
    if (!this.#mask) return { input_ids };
    const mask = rows.flatMap((row) => Array.from({ length }, (_, i) => Number(i < row.length)));
    return { input_ids, attention_mask: int64(mask, dims) };
  }
}
