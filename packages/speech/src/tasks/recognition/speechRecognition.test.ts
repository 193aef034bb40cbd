/** @file Teaching a tiny Whisper: labels, what is left out, error rates, what training hears. */

import path from 'node:path';
import { evaluate, loadAdapter, type Model, openModel, train } from '@onnx-lora/sdk'; // prettier-ignore
import type { Dataset, PreparedTask } from '@onnx-lora/sdk/tasks';
import { ExampleSet } from '@onnx-lora/sdk/data';
import { beforeAll, describe, expect, test } from 'vitest';
import type { GivenSpeechRecord } from '../../data/speechRecord.ts';
import { speechFamilies } from '../../families/index.ts';
import { GenerationFile } from '@onnx-lora/sequences';
import { generationConfigOf } from '../../generation/generationConfig.ts';
import { openSpeechTokenizer } from '../../text/openSpeechTokenizer.ts';
import { transcriptLabels } from './transcriptLabels.ts';
import { speechRecognition, type SpeechRecognitionOptions, speechRecognitionTask } from './speechRecognition.ts';
import { AudioFileReader } from '../../audio/audioFileReader.ts';

const folder = path.join(import.meta.dirname, '../../../../../test/fixtures/whisperMerged');
const rate = 16_000;
let model: Model;
beforeAll(async () => {
  model = await openModel(folder, { families: speechFamilies });
});

/** A second or less of a tone. */
function record(
  text: string,
  more: Partial<GivenSpeechRecord> & { readonly seconds?: number } = {},
): GivenSpeechRecord {
  const { seconds = 0.5, ...others } = more;
  const samples = Float32Array.from({ length: seconds * rate }, (_, i) => 0.2 * Math.sin(i * (0.1 + text.length / 50)));
  return { audio: { sampleRate: rate, channels: [samples] }, text, ...others };
}

const prepare = (
  records: readonly GivenSpeechRecord[],
  options: SpeechRecognitionOptions = {},
): Promise<PreparedTask> => speechRecognition(records, { language: 'en', ...options }).prepare(model);

async function firstBatch(task: PreparedTask): Promise<Record<string, unknown[]>> {
  const { inputs, targets } = await task.collate([await (task.train as Dataset<unknown>).get(0)]);
  return {
    tokens: Array.from(inputs['decoder_input_ids']!.data, Number),
    labels: Array.from(targets['labels']!.data, Number),
    sizes: [...inputs['input_features']!.dims],
  };
}

describe('labels', () => {
  test.each([
    ['transcribe', 361, 'Call it.', [34, 64, 313, 220, 72, 83, 13]],
    ['translate', 360, 'Come in', [34, 78, 76, 68, 337]],
  ] as const)('to %s, as WhisperTokenizer of transformers 5.24 makes them', async (task, token, text, ids) => {
    const { tokens, labels } = await firstBatch(await prepare([record(text)], { task }));
    expect(labels).toEqual([358, token, 365, ...ids, 356]);
    expect(tokens).toEqual([357, 358, token, 365, ...ids]);
  });

  test('the language of a record goes before that of the task', async () => {
    const { labels } = await firstBatch(await prepare([record('Come in', { language: 'fr' })]));
    expect(labels![0]).toBe(359);
  });

  test('a model of English alone is taught another language under its own tokens', async () => {
    const config = generationConfigOf(
      new GenerationFile({
        own: { decoder_start_token_id: 357, eos_token_id: 356, no_timestamps_token_id: 365, is_multilingual: false },
        config: {},
        where: 'generation_config.json',
      }),
    );
    const tokenizer = await openSpeechTokenizer(folder);
    const labels = transcriptLabels(config, tokenizer, { language: 'es' });
    expect(labels.labelsOf({ audio: 'a.wav', where: 'a.wav', text: 'Hola', language: 'Spanish' })).toEqual([
      365,
      ...tokenizer.encode(' Hola'),
      356,
    ]);
  });

  test('whitespace of a transcript does not count', async () => {
    const found = [' Come \n in ', 'Come in'].map(async (text) => firstBatch(await prepare([record(text)])));
    const [one, other] = await Promise.all(found);
    expect(one!['labels']).toEqual(other!['labels']);
  });

  test('a language that nothing says, or the model does not know, is asked for', async () => {
    await expect(prepare([record('Hola')], { language: undefined })).rejects.toThrow(
      /knows 2 languages.*--set language=/,
    );
    await expect(prepare([record('Hola', { where: 'a.wav' })], { language: 'es' })).rejects.toThrow(/a\.wav.*"es"/);
  });
});

describe('what is left out', () => {
  test('is told', async () => {
    const records = [
      record('Come in'),
      record(' ', { where: 'silent.wav' }),
      record('it '.repeat(40), { where: 'wordy.wav' }),
      record('Call it.', { where: 'long.wav', seconds: 1.5 }),
    ];
    const task = await prepare(records);
    expect(task.train.length).toBe(1);
    expect(task.warnings).toEqual([
      '1 of 4 recordings have no transcript, such as silent.wav: left out.',
      '1 of 4 recordings have a transcript of more than the 64 tokens that the model can write, such as wordy.wav: left out.',
      '1 of 4 recordings last longer than the 1 s that the model hears at once, such as long.wav: left out.',
    ]);
  });

  test('if it is all, it is an error', async () => {
    await expect(prepare([record('')])).rejects.toThrow(/nothing to learn from: 1 of 1 recordings have no transcript/);
  });

  test('a recording that turns out too long is refused', async () => {
    const { audio } = record('Come in', { seconds: 1.2 });
    const task = await prepare([{ audio, text: 'Come in', where: 'clip.wav', duration: 0.9 }]);
    await expect(task.train.get(0)).rejects.toThrow(/clip\.wav: It lasts 1\.2 s, and the model hears 1 s at once/);
  });
});

describe('what training hears', () => {
  test('is the whole window where most of it is heard', async () => {
    const task = await prepare([record('Come in', { seconds: 0.8 })]);
    expect(task.inputSizes).toBeUndefined();
    expect((await firstBatch(task))['sizes']).toEqual([1, 80, 100]);
  });

  test('is what recordings need, and a little of the silence behind, whose adapter notes it', async () => {
    const task = await prepare([record('Come in')]);
    const inputSizes = { input_features: { 2: { first: 60, spread: 10, last: 2 } } };
    expect(task.inputSizes).toEqual(inputSizes);
    expect((await firstBatch(task))['sizes']).toEqual([1, 80, 72]);
    const run = await train(model, {
      task: speechRecognition([record('Come in')], { language: 'en' }),
      lora: { targetModules: ['q_proj'] },
      steps: 1,
    });
    expect((await run.done).adapter.notes.inputSizes).toEqual(inputSizes);
  });

  test('may be less: the graph is trained as it is for that, and its loss is nearly that of the whole window', async () => {
    const records = ['Come in', 'Call it.'].map((text) => record(text));
    const losses: number[] = [];
    for (const contextSeconds of [0.6, 'full'] as const) {
      const task = speechRecognition(records, { language: 'en', contextSeconds });
      const prepared = await task.prepare(model);
      expect(prepared.inputSizes).toEqual(
        contextSeconds === 'full' ? undefined : { input_features: { 2: { first: 62, spread: 10, last: 2 } } },
      );
      const run = await train(model, { task, lora: { targetModules: ['q_proj'] }, steps: 1, batchSize: 2 });
      losses.push((await run.done).loss);
    }
    expect(losses[0]).not.toBe(losses[1]);
    expect(Math.abs(losses[0]! / losses[1]! - 1)).toBeLessThan(0.02);
  });

  test('a clip that is longer is refused, with what to set', async () => {
    const { audio } = record('Come in', { seconds: 0.8 });
    const task = await prepare([{ audio, text: 'Come in', duration: 0.8 }], { contextSeconds: 0.6 });
    await expect(task.train.get(0)).rejects.toThrow(/hears the first 0\.6 s.*contextSeconds/);
  });
});

describe('measuring', () => {
  const records = ['Come in', 'Call it.', 'Come in'].map((text, i) =>
    record(text, { split: i === 0 ? 'train' : 'validation', where: `${i}.wav` }),
  );

  test('evaluate gives the error rates of what the model writes, with and without adapter', async () => {
    const task = speechRecognition(records, { language: 'en', normalizer: 'none' });
    const adapter = await loadAdapter(path.join(folder, 'adapter'));
    const base = await evaluate(model, { task });
    const adapted = await evaluate(model, { task, adapter });
    expect(Object.keys(base.metrics)).toEqual(['wer', 'cer']);
    expect(base.examples).toBe(2);
    expect(base.metrics['cer']).toBeGreaterThan(0);
    expect(adapted.metrics).not.toEqual(base.metrics);
    for (const { draws, intervals } of [base, adapted]) {
      expect(draws).toMatchObject({ wer: { units: 2 }, cer: { units: 2 } });
      expect(Object.keys(intervals!)).toEqual(['wer', 'cer']);
    }
  });

  test('what the adapter was trained on is not measured, unless all is asked for', async () => {
    const whole = ['Come in', 'Call it.', 'Come in'].map((text, i) => record(text, { where: `${i}.wav` }));
    const task = speechRecognition(whole, { language: 'en', normalizer: 'none' });
    const trainedOn = await ExampleSet.of((await speechRecognition(whole.slice(1, 2), { language: 'en' }).prepare(model)).train); // prettier-ignore
    const adapter = await loadAdapter(path.join(folder, 'adapter'));
    const held = await evaluate(model, { task, adapter, trainedOn: trainedOn! });
    expect(held).toMatchObject({ trainedOn: 0, leftOut: 1, examples: 2 });
    const others = speechRecognition([whole[0]!, whole[2]!], { language: 'en', normalizer: 'none' });
    expect(held.metrics).toEqual((await evaluate(model, { task: others, adapter })).metrics);
    const all = await evaluate(model, { task, adapter, trainedOn: trainedOn!, split: 'all' });
    expect(all).toMatchObject({ trainedOn: 1, examples: 3 });
  });

  test('where nothing can be read, it says so', async () => {
    const broken = records.map((each) => ({ ...each, audio: Uint8Array.of(1, 2, 3) }));
    const task = speechRecognition(broken, { language: 'en', contextSeconds: 'full' });
    await expect(evaluate(model, { task, onBadSample: 'skip' })).rejects.toThrow(
      /None of the 2 examples can be loaded/,
    );
  });

  test('the report compares before and after, and hears each only once', async () => {
    let heard = 0;
    const reader = new AudioFileReader();
    const counting = {
      fileEndings: reader.fileEndings,
      read: (...words: Parameters<AudioFileReader['read']>) => {
        heard++;
        return reader.read(...words);
      },
      stream: (...words: Parameters<AudioFileReader['stream']>) => reader.stream(...words),
    };
    const task = await prepare(records, { reader: counting });
    const adapter = await loadAdapter(path.join(folder, 'adapter'));
    const options = { allowBaseMismatch: true };
    const request = { model, options, batchSize: 4 };
    const before = await task.measure!(request);
    const after = await task.measure!({ ...request, adapter });
    expect(heard).toBe(4);
    expect(await task.measure!(request)).toEqual(before);
    const sections = await task.report!({ ...request, adapter, run: () => Promise.reject(new Error('not needed')) });
    const { rows } = sections[0] as { rows: readonly (readonly (string | number)[])[] };
    for (const [row, { metrics: rates }] of [before, after].entries()) {
      const percent = [rates['wer']!, rates['cer']!].map((share) => 100 * share);
      for (const [i, share] of percent.entries()) expect(Number(rows[row]![i + 1])).toBeCloseTo(share, 0);
    }
    const clips = sections.find(({ kind }) => kind === 'clips');
    expect(clips).toBeDefined();
    // Only what is shown is read again.
    expect(heard).toBe(4 + (clips as { clips: readonly unknown[] }).clips.length);
  });

  test('what a recogniser has learned is measured in its training by one pass', async () => {
    const task = await prepare(records, { contextSeconds: 'full' });
    const collector = task.metrics();
    const batch = await task.collate([await task.validation!.get(0), await task.validation!.get(1)]);
    const session = await model.session();
    collector.update(await session.run(batch.inputs), batch.targets);
    await session.release();
    // The loss by which it is trained, of the untrained adapter.
    const again = speechRecognition(
      records.slice(1).map((each) => ({ ...each, split: 'train' as const })),
      { language: 'en', contextSeconds: 'full' },
    );
    const run = await train(model, { task: again, lora: { targetModules: ['q_proj'] }, steps: 1, batchSize: 2 });
    expect(collector.result()['loss']).toBeCloseTo((await run.done).loss, 4);
  });
});

describe('mistakes', () => {
  test('an encoder alone does not write', async () => {
    await expect(speechRecognition([record('x')]).prepare(model.part('encoder_model'))).rejects.toThrow(
      /does not write what it hears.*encoder alone/,
    );
  });

  test('the factory refuses settings that make no sense', () => {
    const factory = speechRecognitionTask(new AudioFileReader(), []);
    const create = (settings: Record<string, string>) => () => factory.create({ data: 'x', seed: 0, settings });
    expect(create({ contextSeconds: 'much' })).toThrow(
      /contextSeconds must be a number of seconds, or auto or full, but it is "much"/,
    );
    expect(create({ normalizer: 'german' })).toThrow(
      /normalizer must be one of english, basic, none, but it is "german"/,
    );
    expect(create({ task: 'sing' })).toThrow(/task must be one of transcribe, translate, but it is "sing"/);
  });
});
