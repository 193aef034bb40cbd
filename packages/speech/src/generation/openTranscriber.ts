/** @file Opens a model that turns sound into text. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import { AudioFileReader } from '../audio/audioFileReader.ts';
import { FeatureExtractorFactory } from '../features/featureExtractorFactory.ts';
import { openExtractor } from '../features/featureExtractor.ts';
import { openSpeechTokenizer } from '../text/openSpeechTokenizer.ts';
import { isCtc } from '../tasks/ctc/ctcPorts.ts';
import { openCtcTranscriber } from '../tasks/ctc/ctcTranscriber.ts';
import { Aligner } from './alignment/aligner.ts';
import { servingParts } from './decoder/openDecoder.ts';
import { EncoderDecoderTranscriber } from './encoderDecoderTranscriber.ts';
import { readGenerationConfig } from './generationConfig.ts';
import { Hearing } from './hearing.ts';
import type { Transcriber, TranscriberOptions } from './transcriber.ts';
import { SpeechEngine } from './speechEngine.ts';

/**
 * Loads a model that turns sound into text, with any number of adapters: one that writes token by token, such as Whisper, or a
 * letter for each frame, such as wav2vec2.
 *
 * @example
 * ```ts
 * const transcriber = await openTranscriber(model, { adapters: { spanish } });
 * const { text } = await transcriber.transcribe('call.wav', { adapter: 'spanish' });
 * await transcriber.release();
 * ```
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that does not write, or without its encoder and decoder;
 *   `CONFIG_INVALID` for a folder without tokenizer or feature extractor; others as `model.session`
 */
export async function openTranscriber(model: RunnableModel, options: TranscriberOptions = {}): Promise<Transcriber> {
  return isCtc(model) ? openCtcTranscriber(model, options) : openWriter(model, options);
}

async function openWriter(
  model: RunnableModel,
  {
    reader = new AudioFileReader(),
    preprocessors = [new FeatureExtractorFactory(reader)],
    extractor,
    tokenizer,
    contextSeconds = 'auto',
    ...load
  }: TranscriberOptions,
): Promise<Transcriber> {
  // What cannot write must not be blamed on the files beside it.
  servingParts(model);
  const words = tokenizer ?? (await openSpeechTokenizer(folderOf(model)));
  const config = await readGenerationConfig(model, words);
  const features = extractor ?? (await openExtractor(model, preprocessors));
  const { adapters = {} } = load;
  const hearing = new Hearing({ model, extractor: features, adapters, context: contextSeconds });
  const engine = await SpeechEngine.open(model, config, load);
  const aligner = new Aligner(model, config, load);
  return new EncoderDecoderTranscriber({ engine, tokenizer: words, extractor: features, hearing, reader, aligner });
}

function folderOf({ folder, name }: RunnableModel): string {
  if (folder !== undefined) return folder;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${name}" is a lone .onnx file, so nothing says what its tokens are. Open the folder that it was published in.`,
  );
}
