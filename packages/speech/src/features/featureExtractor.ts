/** @file What makes a model's input of sound, and how it is found in a model's folder. */

import { join } from 'node:path';
import { type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { isObject, type JsonObject, readJsonObject } from '@onnx-lora/sdk/data';
import type { Preprocessor, PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import type { TaskModel } from '@onnx-lora/sdk/tasks';

/** What a `preprocessor_config.json` of a speech model describes. */
export interface FeatureExtractor extends Preprocessor {
  /** Hz of the samples that it takes. */
  readonly sampleRate: number;
  /** The graph input that takes a batch: `input_features` or `input_values`. */
  readonly inputName: string;
  /** Samples that it hears at most, as Whisper 30 s; what is longer is cut off. Absent where any length is heard. */
  readonly maxSamples?: number;
  /**
   * What can be made of one clip alone, without a batch dimension: `[mels, frames]`, `[frames, mels]` or `[samples]`. Only
   * {@link FeatureExtractor.batch} makes of it what a model is fed, also for one clip.
   *
   * @throws OnnxLoraError `INPUT_INVALID` for a clip that is too short to be heard
   */
  extract(samples: Float32Array): Tensor;
  /** Where in the features of a clip of so many samples its sound is. Absent where features are no spectrogram. */
  soundIn?(samples: number): AudioFrames;
  /**
   * Clips of one batch, padded to the longest as transformers pads them: the input, and an `attention_mask` (int64) where
   * the model was trained with one.
   *
   * @throws OnnxLoraError `INPUT_INVALID` for an empty batch
   */
  batch(clips: readonly Tensor[]): Feeds;
}

/** Which frames of a spectrogram are sound, and not padding: the first so many along an axis. */
export interface AudioFrames {
  /** The axis of time: 1 in `[mels, frames]`, 0 in `[frames, mels]`. */
  readonly timeAxis: 0 | 1;
  /** How many frames are sound. */
  readonly frames: number;
}

/** An extractor without the part that reads files. */
export type ClipFeatures = Omit<FeatureExtractor, 'preprocess'>;

const fileName = 'preprocessor_config.json';
/** transformers 5 writes all parts of a processor into one file. */
const jointFileName = 'processor_config.json';
/** Real ones have a kilobyte, or half a megabyte where the mel filters are in it. */
const largestFile = 10_000_000;

/** The types that go with models, for files that name none, as older ones do. */
const typeOfModel: Readonly<Record<string, string>> = {
  'audio-spectrogram-transformer': 'ASTFeatureExtractor',
  'data2vec-audio': 'Wav2Vec2FeatureExtractor',
  hubert: 'Wav2Vec2FeatureExtractor',
  moonshine: 'Wav2Vec2FeatureExtractor',
  sew: 'Wav2Vec2FeatureExtractor',
  'sew-d': 'Wav2Vec2FeatureExtractor',
  unispeech: 'Wav2Vec2FeatureExtractor',
  'unispeech-sat': 'Wav2Vec2FeatureExtractor',
  wav2vec2: 'Wav2Vec2FeatureExtractor',
  'wav2vec2-conformer': 'Wav2Vec2FeatureExtractor',
  wavlm: 'Wav2Vec2FeatureExtractor',
  whisper: 'WhisperFeatureExtractor',
};

/**
 * The feature extractor of a model, from `preprocessor_config.json` in its folder, or `feature_extractor` in
 * `processor_config.json`. The first of `factories` that recognises the file makes it.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when there is no such file, it is no JSON object, or nothing makes features of sound
 *   from it
 */
export async function openExtractor(
  model: TaskModel,
  factories: readonly PreprocessorFactory[],
): Promise<FeatureExtractor> {
  if (model.folder === undefined) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${model.name}" is a lone .onnx file, so nothing says what is made of its sound. Put ${fileName} (from where the model was published) beside it.`,
    );
  }
  const { config, path } = await describedIn(model.folder, model.name);
  const typed = { feature_extractor_type: typeOf(model), ...config };
  const made = factories.find((each) => each.recognises(typed))?.create(typed, path);
  if (made && isFeatureExtractor(made)) return made;
  const type = typed.feature_extractor_type;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${path}" describes no feature extractor of sound that is known${typeof type === 'string' ? `, but "${type.slice(0, 80)}"` : ''}. Check that "${model.name}" is a speech model, or copy the file again from where it was published.`,
  );
}

async function describedIn(folder: string, name: string): Promise<{ config: JsonObject; path: string }> {
  const what = "a feature extractor's file";
  const path = join(folder, fileName);
  const own = await readJsonObject(path, largestFile, what);
  if (own) return { config: own, path };
  const jointPath = join(folder, jointFileName);
  const part = (await readJsonObject(jointPath, largestFile, what))?.['feature_extractor'];
  if (isObject(part)) return { config: part, path: jointPath };
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `There is no "${path}", so nothing says what is made of sound for "${name}". Copy the file from where the model was published.`,
  );
}

function typeOf({ config }: TaskModel): string | undefined {
  const type = config?.['model_type'];
  return typeof type === 'string' && Object.hasOwn(typeOfModel, type) ? typeOfModel[type] : undefined;
}

function isFeatureExtractor(made: Preprocessor): made is FeatureExtractor {
  return 'extract' in made && 'batch' in made;
}
