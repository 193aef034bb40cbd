/** @file Classes: files hold a number in each line, and a table says in a column of text what each file is of. */

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { float32, OnnxLoraError, stack, type Tensor } from '@onnx-lora/sdk';
import { classification, type ClassifierOptions, type Examples, filePredictor, headDecoder, type HeadOption, type HeadPort, headSetting, type Labelled, type Predictor, type Processor, RecordDataset, type RunnableModel, type Task, type TaskModel } from '@onnx-lora/sdk/tasks'; // prettier-ignore
import { cellError, cellText, fileInside, readTable, splitRecords } from '@onnx-lora/sdk/data';
import { definePlugin, type Plugin, type PredictorOptions, settingsOf, type SettingTable, type TaskFactory, type TaskOptions } from '@onnx-lora/sdk/plugin'; // prettier-ignore

/** A row of the table. */
interface Sample {
  readonly file: string;
  readonly label: string;
  readonly place: string;
}

/** Numbers `[length]`. */
interface Numbers {
  readonly numbers: Tensor;
}

/** How the table is used. */
export interface FileClassesOptions extends ClassifierOptions, HeadOption {
  /** The part of each class that is held out; 0.2 by default. */
  readonly validation?: number | undefined;
  /** Seeds what is held out; 0 by default. */
  readonly seed?: number | undefined;
}

/** Learns classes of files, from a table with the columns `path` and `label`. */
export function fileClasses(table: string, options: FileClassesOptions = {}): Task<Labelled<Numbers, number>> {
  // Labels, heads, loss, metrics and report.
  return classification('file-classes', filesOf(table, options), options);
}

/** The domain's part: reading, feeding and naming of files. */
function filesOf(table: string, { validation = 0.2, seed = 0 }: FileClassesOptions): Examples<Numbers, Sample> {
  return {
    noun: 'files',
    one: 'file',
    root: table,
    open: async (model) => {
      const own = headOf(model);
      const { kept, held } = splitRecords(await readSamples(table), validation, seed, ({ file, label }) => ({ key: file, label })); // prettier-ignore
      return {
        data: { train: kept, ...(held.length > 0 && { validation: held }) },
        known: ({ place, label }) => ({ place, labels: [label] }),
        own,
        dataset: (samples, targets) =>
          new RecordDataset(samples, targets, {
            nameOf: ({ place }) => place,
            load: async ({ file }) => ({ numbers: await numbersIn(file) }),
          }),
        feeds: (examples) => ({ x: stack(examples.map(({ numbers }) => numbers)) }),
      };
    },
  };
}

async function readSamples(table: string): Promise<Sample[]> {
  const { rows } = await readTable(table);
  return rows.map((row) => {
    const [name, label] = [cellText(row, 'path'), cellText(row, 'label')];
    if (name === undefined) throw cellError(row, 'path', name, 'a file', 'Name one, or remove the line');
    if (label === undefined) throw cellError(row, 'label', label, 'a class', 'Name one, or remove the line');
    return { file: fileInside(path.dirname(table), name, row.place, 'the table'), label, place: row.place };
  });
}

/** Makes the task for the command line, and answers for files. */
class FileClassesFactory implements TaskFactory {
  readonly name = 'file-classes';
  readonly description = 'One class per file; the data is a table with the columns path and label.';
  readonly settings: SettingTable<FileClassesOptions> = settingsOf({ head: headSetting });

  create({ data, validation, holdOut, seed, settings }: TaskOptions): Task {
    const share = validation ?? holdOut;
    if (typeof share !== 'string')
      return fileClasses(data, { ...this.settings.read(settings), validation: share, seed });
    throw new OnnxLoraError('CONFIG_INVALID', `Files of the table itself are held out, but "${share}" is a path. Give a fraction such as 0.2.`); // prettier-ignore
  }

  /** `model` has the head and the labels of the adapter that answers. */
  predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    const processor: Processor = {
      feeds: async (files) => ({ x: stack(await Promise.all(files.map(numbersIn))) }),
      decode: headDecoder(model, headOf(model), 'classes'),
    };
    return filePredictor(model, processor, options);
  }
}

/** The scores `[batch, classes]`. */
function headOf({ name, inputs, outputs }: TaskModel): HeadPort {
  const classes = outputs['logits']?.dims?.[1];
  if ('x' in inputs && typeof classes === 'number') return { output: 'logits', outputs: classes };
  throw new OnnxLoraError('MODEL_UNSUPPORTED', `"${name}" has no input "x" or no output "logits" [batch, classes]. Take a classifier.`); // prettier-ignore
}

async function numbersIn(file: string): Promise<Tensor> {
  const text = await readFile(file, 'utf8').catch((cause: Error) => {
    throw new OnnxLoraError('FILE_NOT_FOUND', `"${file}" cannot be read: ${cause.message}. Check the path.`, { cause });
  });
  const numbers = text.trim().split('\n').map(Number);
  const bad = numbers.findIndex((each) => !Number.isFinite(each));
  if (bad >= 0) throw new OnnxLoraError('DATA_INVALID', `"${file}", line ${bad + 1} is no number. Correct it.`);
  return float32(numbers, [numbers.length]);
}

/** The task `file-classes`, for classifiers of a row of numbers. */
export const classesPlugin: Plugin = definePlugin({
  name: 'onnx-lora-classes',
  version: '1.0.0',
  description: 'Classes of files of numbers.',
  tasks: [new FileClassesFactory()],
});
