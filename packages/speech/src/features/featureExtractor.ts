/** @file The feature extractor's interface, and its lookup in a model's folder. */

import { join } from 'node:path';
import { type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { isObject, type JsonObject, readJsonObject } from '@onnx-lora/sdk/data';
import type { Preprocessor, PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import type { TaskModel } from '@onnx-lora/sdk/tasks';

/** The feature extractor that a speech model's `preprocessor_config.json` describes. */
export interface FeatureExtractor extends Preprocessor {
  /** Sample rate of its input in Hz. */
  readonly sampleRate: number;
  /** The graph's input: `input_features` or `input_values`. */
  readonly inputName: string;
  /** Most samples of a clip, 30 s for Whisper; the rest is cut off. Absent without a limit. */
  readonly maxSamples?: number;
  /**
   * Features of one clip, without a batch dimension: `[mels, frames]`, `[frames, mels]` or `[samples]`. Only
   * {@link FeatureExtractor.batch} makes feeds of them, also for one clip.
   * @throws OnnxLoraError `INPUT_INVALID` for a clip that is too short
   */
  extract(samples: Float32Array): Tensor;
  /** The sound's extent in the features of a clip. Absent if they are no spectrogram. */
  soundIn?(samples: number): AudioFrames;
  /**
   * Feeds of a batch, padded to the longest clip as in transformers, with an `attention_mask` (int64) if the model was
   * trained with one.
   * @throws OnnxLoraError `INPUT_INVALID` for an empty batch
   */
  batch(clips: readonly Tensor[]): Feeds;
}

/** The frames of a spectrogram that are sound: the first ones along the time axis. */
export interface AudioFrames {
  /** The time axis: 1 in `[mels, frames]`, 0 in `[frames, mels]`. */
  readonly timeAxis: 0 | 1;
  /** Number of sound frames. */
  readonly frames: number;
}

/** An extractor without file reading. */
export type ClipFeatures = Omit<FeatureExtractor, 'preprocess'>;

const fileName = 'preprocessor_config.json';
/** transformers 5's file for all parts of a processor. */
const jointFileName = 'processor_config.json';
/** Real files have a kilobyte, or half a megabyte with mel filters. */
const largestFile = 10_000_000;

/** Extractor types by model type, for older files that name none. */
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
 * Opens a model's feature extractor from `preprocessor_config.json`, or `feature_extractor` in `processor_config.json`.
 * The first factory that recognises the file makes it.
 * @throws OnnxLoraError `CONFIG_INVALID` for a missing or invalid file, or one that no factory recognises
 */
export async function openExtractor(
  model: TaskModel,
  factories: readonly PreprocessorFactory[],
): Promise<FeatureExtractor> {
  if (model.folder === undefined) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${model.name}" is a single .onnx file, so nothing says what is made of its sound. Put ${fileName} (from where the model was published) beside it.`,
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
