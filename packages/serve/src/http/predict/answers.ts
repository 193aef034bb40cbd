/** @file Runs a task's predictor on uploaded files. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskFactory } from '@onnx-lora/sdk/plugin';
import type { Prediction } from '@onnx-lora/sdk/tasks';
import type { ResolvedAdapter } from '../../adapters/catalog.ts';
import { runAs, ownerOf } from '../../inference/request.ts';
import type { RequestedTask } from '../../inference/variants.ts';
import { HttpError } from '../errors.ts';
import type { RouteRequest } from '../routes.ts';
import type { Service } from '../service.ts';
import { asFiles, type SentFile } from './uploadedFiles.ts';

/** Files decoded at a time: each may take a thousand times its size. */
const FILES_AT_A_TIME = 4;
/** Maximum records of a request. */
const MOST_ANSWERS = 10_000;

export interface Answers {
  readonly task: string;
  readonly predictions: readonly Prediction[];
}

/**
 * Predicts for each file, or each record in them.
 * @throws HttpError 415 for unsupported files, 413 for too many records; as the predictor
 */
export async function answersAbout(
  service: Service,
  adapter: ResolvedAdapter | null,
  files: readonly SentFile[],
  { caller, signal }: Pick<RouteRequest<unknown, unknown>, 'caller' | 'signal'>,
  asked?: RequestedTask,
): Promise<Answers> {
  const variant = await service.variants.get(adapter);
  const { task, predictor } = await variant.predictor(asked);
  const options = { signal, ...(!task.input?.records && { batchSize: FILES_AT_A_TIME }) };
  const predictions = await asFiles(files, endingsFor(service, task), (paths) =>
    runAs(ownerOf(caller, {}, signal), async () => {
      const found: Prediction[] = [];
      try {
        for await (const { prediction } of predictor.predict(paths, options)) {
          if (found.length === MOST_ANSWERS)
            throw new HttpError(
              413,
              'INPUT_INVALID',
              `The files have more than ${MOST_ANSWERS} records. Send fewer at a time.`,
            );
          found.push(prediction);
        }
      } catch (error) {
        throw inNamesOf(files, paths, error);
      }
      signal.throwIfAborted();
      return found;
    }),
  );
  return { task: task.name, predictions };
}

/** File endings of a task, or of its domain's preprocessors; without compressed formats. */
function endingsFor({ base: { family, registry } }: Service, { input }: TaskFactory): readonly string[] {
  const own = registry.preprocessors.filter(({ domain }) => family === undefined || domain === family.domain);
  const all = input?.endings ?? [...new Set(own.flatMap(({ fileEndings }) => fileEndings))];
  return all.filter((ending) => !/\.(gz|parquet)$/.test(ending));
}

/** Replaces local paths by the client's file names. */
function inNamesOf(files: readonly SentFile[], paths: readonly string[], error: unknown): unknown {
  if (!(error instanceof OnnxLoraError)) return error;
  const message = paths.reduce((text, path, i) => text.replaceAll(path, files[i]!.name), error.message);
  return new OnnxLoraError(error.code, message, { cause: error });
}
