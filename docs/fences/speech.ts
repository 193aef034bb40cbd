/** @file Models, recordings and adapters of the pages about speech. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { writeOnnx } from '@onnx-lora/sdk/plugin';
import { audioClassification, speechFamilies as families, speechRecognition } from '@onnx-lora/speech';
import { wav2vec2Encoder } from '../../test/fixtures/wav2vec2.ts';
import { clips, recording, silence, spoken, transcribed } from './recordings.ts';
import { adapterOf, copyOf, type Fixture, type Fixtures } from './fixtures.ts';

const whisper = copyOf('test/fixtures/whisperMerged');
const wav2vec2 = copyOf('test/fixtures/wav2vec2');
const encoder: Fixture = async (folder) => {
  mkdirSync(folder, { recursive: true });
  for (const file of ['config.json', 'preprocessor_config.json'])
    await copyOf(`test/fixtures/wav2vec2/${file}`)(path.join(folder, file));
  writeOnnx(path.join(folder, 'model.onnx'), (await wav2vec2Encoder()).onnx.model);
};
/** The tiny Whisper, whose other language is German, and which may write times. */
const german: Fixture = async (folder) => {
  await whisper(folder);
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
    const file = path.join(folder, name);
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('<|fr|>', '<|de|>'));
  }
  const file = path.join(folder, 'generation_config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as {
    suppress_tokens: number[];
    no_timestamps_token_id: number;
  };
  const isNoTime = (id: number): boolean => id <= config.no_timestamps_token_id;
  writeFileSync(file, JSON.stringify({ ...config, suppress_tokens: config.suppress_tokens.filter(isNoTime) }));
};

const commands = spoken(['yes', 'no']);
const recognition = adapterOf({
  model: whisper,
  families,
  data: transcribed,
  task: (folder) => speechRecognition(folder, { language: 'en' }),
});

export const speechFiles: Fixtures = {
  'models/whisper-tiny.en': whisper,
  'models/whisper-small': german,
  'models/wav2vec2-base-960h': wav2vec2,
  'models/wav2vec2': wav2vec2,
  'models/wavlm': encoder,
  'models/ast': encoder,

  calls: transcribed,
  recordings: transcribed,
  commands,
  voices: spoken(['ann', 'ben', 'cid', 'dee'], 10),
  'impulse-responses': clips,
  'street-noise': clips,
  'a.wav': recording('AB'),
  'b.wav': recording('BA'),
  'new.wav': recording('ABC'),
  'yes.wav': recording('A'),
  'hello.wav': recording('AB'),
  'call.wav': recording('AB'),
  'talk.wav': recording('AB'),
  'call.flac': copyOf('packages/speech/src/fixtures/sounds/mono.flac'),
  'lecture.mp3': copyOf('packages/speech/src/fixtures/sounds/mono.mp3'),
  'interview.wav': silence(661),

  'runs/commands/adapter': adapterOf({
    model: encoder,
    families,
    data: commands,
    task: (folder) => audioClassification(folder),
  }),
  'runs/calls': recognition,
  'runs/letters': recognition,
  'spanish-prompts': recognition,
};
