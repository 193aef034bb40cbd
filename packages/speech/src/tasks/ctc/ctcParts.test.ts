/** @file Parts of CTC recognition, held against what follows from their definitions. */

import { float32, openModel } from '@onnx-lora/sdk';
import { CtcTokenizer, type TaskModel } from '@onnx-lora/sdk/tasks';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { wav2vec2 } from '../../../../../test/fixtures/wav2vec2.ts';
import { ctcPorts, framedWords, writtenIds } from './ctcPorts.ts';
import { ctcLoss, framesNeeded } from './ctcLoss.ts';
import { audioWindows } from './ctcTranscriber.ts';
import { ctcWords } from './ctcWords.ts';
import { frameCount } from '../audioFeeds.ts';

describe('the loss', () => {
  test('is the sum over all ways to say the ids', () => {
    const rows = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 2, max: 3 })).chain(([frames, labels]) =>
      fc.record({
        frames: fc.constant(frames),
        labels: fc.constant(labels),
        logits: fc.array(fc.float({ min: -3, max: 3, noNaN: true }), { minLength: frames * labels, maxLength: frames * labels }), // prettier-ignore
        ids: fc.array(fc.integer({ min: 1, max: labels - 1 }), { maxLength: 3 }),
      }),
    );
    fc.assert(
      fc.property(rows, ({ frames, labels, logits, ids }) => {
        let probability = 0;
        const isSaid = (path: readonly number[]): boolean => writtenIds(path, 0).join() === ids.join();
        for (let code = 0; code < labels ** frames; code++) {
          const path = Array.from({ length: frames }, (_, frame) => Math.floor(code / labels ** frame) % labels);
          if (!isSaid(path)) continue;
          probability += path.reduce((product, id, frame) => {
            const row = logits.slice(frame * labels, (frame + 1) * labels).map(Math.exp);
            return (product * row[id]!) / row.reduce((a, b) => a + b);
          }, 1);
        }
        const loss = ctcLoss({ logits: Float32Array.from(logits), frames, labels }, ids, 0);
        if (framesNeeded(ids) > frames) expect(loss).toBe(Infinity);
        else expect(Math.exp(-loss)).toBeCloseTo(probability, 9);
      }),
    );
  });
});

test('frames are as many as the graph makes', async () => {
  const model = await openModel(wav2vec2);
  const count = frameCount(model)!;
  const session = await model.session({ worker: false });
  for (const length of [400, 1601, 2719, 2720, 2721, 5000]) {
    const ones = new BigInt64Array(length).fill(1n);
    const { logits } = await session.run({
      input_values: float32(new Float32Array(length), [1, length]),
      attention_mask: { type: 'int64', dims: [1, length], data: ones },
    });
    expect(count(length), String(length)).toBe(logits!.dims[1]);
  }
  await session.release();
});

test("an adapter behind the encoder halves what it gives, as transformers' formula has it", () => {
  const inputs = { input_values: { type: 'float32', dims: ['batch', 'samples'] } } as const;
  const config = { conv_kernel: [10, 3], conv_stride: [5, 2], add_adapter: true, num_adapter_layers: 2, adapter_stride: 2 }; // prettier-ignore
  // ((((1000 − 10) / 5 + 1) − 3) / 2 + 1 = 99; 50; 25.
  expect(frameCount({ name: 'm', inputs, outputs: {}, config })!(1000)).toBe(25);
  expect(() => frameCount({ name: 'm', inputs, outputs: {}, config: { ...config, conv_stride: [5] } })).toThrow(/conv_kernel/); // prettier-ignore
  expect(frameCount({ name: 'm', inputs, outputs: {} })).toBeUndefined();
});

test('windows without their context are the recording', async () => {
  const sizes = fc.record({
    length: fc.integer({ min: 3, max: 20 }),
    total: fc.integer({ min: 0, max: 100 }),
    pieces: fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 10 }),
  });
  await fc.assert(
    fc.asyncProperty(sizes, async ({ length, total, pieces }) => {
      const all = Float32Array.from({ length: total }, (_, i) => i + 1);
      async function* stream(): AsyncGenerator<Float32Array> {
        let at = 0;
        for (let i = 0; at < total; i++) {
          const size = i < pieces.length ? pieces[i]! : total;
          yield all.subarray(at, Math.min(total, at + size));
          at += size;
        }
      }
      const context = Math.floor((length - 1) / 2);
      const heard: number[] = [];
      let lasts = 0;
      for await (const { samples, start, left, right } of audioWindows(stream(), { length, context })) {
        expect(samples.length).toBeLessThanOrEqual(length + 1);
        expect([...samples]).toEqual([...all.subarray(start, start + samples.length)]);
        if (right === 0) lasts++;
        heard.push(...samples.subarray(left, samples.length - right));
      }
      expect(heard).toEqual([...all]);
      expect(lasts).toBe(total > 0 ? 1 : 0);
    }),
  );
});

test('words have the frames of their characters', () => {
  const tokenizer = new CtcTokenizer(['<pad>', '<unk>', '|', 'a', 'b']);
  expect(framedWords([0, 3, 3, 0, 3, 4, 0, 0, 2, 2, 0, 4, 0], tokenizer)).toEqual([
    { word: 'aab', start: 1, end: 6 },
    { word: 'b', start: 11, end: 12 },
  ]);
  expect(framedWords([0, 0, 2, 0], tokenizer)).toEqual([]);
});

describe('the vocabulary', () => {
  const words = async (texts: readonly string[], options = {}, changes: Partial<TaskModel> = {}) => {
    const model = await openModel(wav2vec2);
    const { name, config, inputs, outputs } = model;
    const given: TaskModel = { name, folder: wav2vec2, config: config!, inputs, outputs, ...changes };
    return ctcWords(given, ctcPorts(given), texts, options);
  };

  test("is the model's where it has the letters, in either case and without punctuation", async () => {
    const { write, head, tokenizer, warnings } = await words(['ab. cd, Ea!']);
    expect([head, warnings]).toEqual([undefined, []]);
    expect(write('ab. cd, Ea!')).toBe('ab cd Ea');
    expect(tokenizer.decode(tokenizer.encode(write('ab-cd')))).toBe('AB CD');
  });

  test('warns of a few letters that it lacks', async () => {
    const { head, warnings, tokenizer, write } = await words([`${'abcde '.repeat(40)}ñ`]);
    expect(head).toBeUndefined();
    expect(warnings).toEqual([expect.stringMatching(/ñ \(1\).*head: 'new'/)]);
    expect(tokenizer.encode(write('ñ'))).toEqual([tokenizer.unknown]);
  });

  test("is the data's where the letters are others, or where that is asked for", async () => {
    const { head, write } = await words(['Él dijo: «¡que no!»', 'L’eau']);
    expect(write('Él dijo: «¡que no!»')).toBe('él dijo que no');
    expect(write('L’eau')).toBe("l'eau");
    expect(head).toEqual({
      output: 'logits',
      labels: ["'", ...'adeijlnoquxé'.replace('x', '')].concat(['|', '[UNK]', '[PAD]']),
    });
    expect((await words(['ab'], { head: 'new' })).head!.labels).toEqual(['a', 'b', '|', '[UNK]', '[PAD]']);
    expect((await words(['él'], { head: 'keep' })).head).toBeUndefined();
  });

  test('comes with a head on the frames of an encoder without one', async () => {
    const outputs = { last_hidden_state: { type: 'float32', dims: ['batch', 'frames', 32] } } as const;
    const { head } = await words(['ab'], {}, { outputs });
    expect(head).toMatchObject({ output: 'last_hidden_state', attach: { pool: 'each' } });
    await expect(words(['ab'], { head: 'keep' }, { outputs })).rejects.toThrow(/no head that says characters.*head: 'new'/); // prettier-ignore
  });
});
