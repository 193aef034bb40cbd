/** @file What a task says of files that a client has sent. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskFactory } from '@onnx-lora/sdk/plugin';
import type { Prediction } from '@onnx-lora/sdk/tasks';
import type { ResolvedAdapter } from '../../adapters/catalog.ts';
import { inNameOf, ownerOf } from '../../inference/request.ts';
import type { AskedTask } from '../../inference/variants.ts';
import { HttpError } from '../errors.ts';
import type { Asked } from '../routes.ts';
import type { Service } from '../service.ts';
import { asFiles, type SentFile } from './uploadedFiles.ts';

/** Files of a request that are decoded at a time: each may take a thousand times its bytes. */
const FILES_AT_A_TIME = 4;
/** Records of all files of a request. */
const MOST_ANSWERS = 10_000;

/** Answers, and the task that gives them. */
export interface Answers {
  readonly task: string;
  readonly predictions: readonly Prediction[];
}

/**
 * An answer for each file, or for each record in them, in their order.
 *
 * @throws HttpError 415 for files that the task does not read, 413 for too many records; what the predictor throws
 */
export async function answersAbout(
  service: Service,
  adapter: ResolvedAdapter | null,
  files: readonly SentFile[],
  { caller, signal }: Pick<Asked<unknown, unknown>, 'caller' | 'signal'>,
  asked?: AskedTask,
): Promise<Answers> {
  const variant = await service.variants.get(adapter);
  const { task, predictor } = await variant.predictor(asked);
  const options = { signal, ...(!task.input?.records && { batchSize: FILES_AT_A_TIME }) };
  const predictions = await asFiles(files, endingsFor(service, task), (paths) =>
    inNameOf(ownerOf(caller, {}, signal), async () => {
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

/** Endings of the files that a task reads: its own, or those of its domain's preprocessors; but none that grow when they are read. */
function endingsFor({ base: { family, registry } }: Service, { input }: TaskFactory): readonly string[] {
  const own = registry.preprocessors.filter(({ domain }) => family === undefined || domain === family.domain);
  const all = input?.endings ?? [...new Set(own.flatMap(({ fileEndings }) => fileEndings))];
  return all.filter((ending) => !/\.(gz|parquet)$/.test(ending));
}

/** A failure that speaks of the client's files, and not of where they lay here. */
function inNamesOf(files: readonly SentFile[], paths: readonly string[], error: unknown): unknown {
  if (!(error instanceof OnnxLoraError)) return error;
  const message = paths.reduce((text, path, i) => text.replaceAll(path, files[i]!.name), error.message);
  return new OnnxLoraError(error.code, message, { cause: error });
}
