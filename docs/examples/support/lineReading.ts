/** @file A task of one's own, with nothing but the SDK: reading lines of text with a CTC model. */

import { float32, int64, OnnxLoraError } from '@onnx-lora/sdk';
import {
  bestPaths,
  bootstrapDraws,
  countEdits,
  ctc,
  type CtcTokenizer,
  type Dataset,
  type EditCounts,
  ErrorCounter,
  type Task,
} from '@onnx-lora/sdk/tasks';
import { HEIGHT, type Line, WIDTH } from './ocrLines.ts';

/** Which lines, and what the model's frames say. */
export interface LineReadingOptions {
  readonly train: readonly Line[];
  readonly heldOut: readonly Line[];
  readonly tokenizer: CtcTokenizer;
}

// #region task
/** Reading lines; measured by the errors in characters (CER) and words (WER). */
export function lineReading({ train, heldOut, tokenizer }: LineReadingOptions): Task<Line> {
  const dataset = (lines: readonly Line[]): Dataset<Line> => ({
    length: lines.length,
    isDeterministic: true,
    get: (i) => Promise.resolve(lines[i]!),
  });
  return {
    name: 'line-reading',
    prepare: (model) => {
      const [input = ''] = Object.keys(model.inputs);
      const [output = ''] = Object.keys(model.outputs);
      // The graph ends in a Softmax; the loss wants the scores before it.
      const scores = model.logitsOf?.(output);
      if (scores === undefined)
        throw new OnnxLoraError('MODEL_UNSUPPORTED', `"${model.name}" has no scores behind its output "${output}".`);
      return Promise.resolve({
        train: dataset(train),
        validation: dataset(heldOut),
        outputs: [scores],
        collate: (lines) => {
          const ids = lines.map(({ text }) => tokenizer.encode(text));
          const longest = Math.max(...ids.map(({ length }) => length));
          return Promise.resolve({
            inputs: { [input]: float32(lines.flatMap(channelsOf), [lines.length, 3, HEIGHT, WIDTH]) },
            targets: {
              labels: int64(
                ids.flatMap((row) => [...row, ...Array<number>(longest - row.length).fill(-100)]),
                [lines.length, longest],
              ),
            },
          });
        },
        loss: (g, outputs, { labels }) => ctc(g, outputs[scores]!, labels!),
        lossWeight: ({ labels }) => labels!.dims[0]!,
        metrics: () => {
          const errors = new ErrorCounter();
          const ofLines: EditCounts[] = [];
          return {
            update: (outputs, { labels }) => {
              const length = labels!.dims[1]!;
              for (const [row, path] of bestPaths(outputs[output]!).entries()) {
                const ids = Array.from(labels!.data.slice(row * length, (row + 1) * length), Number);
                const [text, read] = [tokenizer.decode(ids.filter((id) => id >= 0)), tokenizer.decodeFrames(path)];
                errors.add(text, read);
                ofLines.push(countEdits([...text], [...read]));
              }
            },
            result: () => ({ cer: errors.rates().cer, wer: errors.rates().wer }),
            draws: () => bootstrapDraws((times) => ({ cer: errorRate(ofLines, times) }), ofLines.length),
          };
        },
      });
    },
  };
}
// #endregion task

/** Errors by characters where line i counts `times[i]` times. */
function errorRate(lines: readonly EditCounts[], times: Uint32Array): number {
  let [errors, characters] = [0, 0];
  for (const [i, { hits, substitutions, deletions, insertions }] of lines.entries()) {
    errors += times[i]! * (substitutions + deletions + insertions);
    characters += times[i]! * (hits + substitutions + deletions);
  }
  return errors / characters;
}

/** Three equal channels, black −1 and white 1, and 0 behind the text, as PaddleOCR feeds its recognisers. */
function channelsOf({ pixels, width }: Line): number[] {
  const channel = Array.from(pixels, (grey, at) => (at % WIDTH < width ? grey / 127.5 - 1 : 0));
  return [...channel, ...channel, ...channel];
}
