/** @file The classes of class maps, from the data, the model or the user. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { labelsOrNumbers, quotedNames, type TaskModel } from '@onnx-lora/sdk/tasks';
import { definingRecords } from '@onnx-lora/sdk/data';
import { didYouMean } from '@onnx-lora/sdk/plugin';
import type { ImageData, ImageRecord } from '../../data/imageRecord.ts';
import { type ClassNumbers, readClassMask } from '../../data/shapes/masks.ts';
import type { MaskSource } from '../../preprocess/imageThread.ts';
import { IGNORED } from './segmentationLoss.ts';

export interface SegmentationClasses {
  /** Names in the order of the model's outputs. */
  readonly labels: readonly string[];
  /** True if the model needs a new head. */
  readonly isNew: boolean;
  maskOf(record: ImageRecord): MaskSource;
}

export interface ClassesRequest {
  readonly model: TaskModel;
  readonly classes: number;
  readonly data: ImageData;
  readonly labels?: readonly string[] | undefined;
  /** True if masks count classes from 1, as the preprocessor's file says. */
  readonly reduceLabels?: boolean | undefined;
}

/** Masks that are checked before training, evenly spaced; the others when loaded. */
const SCANNED = 100;

/**
 * The classes: the user's; else the categories of outlined objects after `background`; else the model's, as numbered in
 * masks. Black and white masks mean `background` and `object`.
 * @throws OnnxLoraError `DATA_INVALID` for a record without mask and objects, and for numbers or categories beyond the
 *   classes
 */
export async function segmentationClasses(request: ClassesRequest): Promise<SegmentationClasses> {
  const { data, labels } = request;
  const records = [...data.train, ...(data.validation ?? [])];
  const bare = records.find(({ mask, objects }) => mask === undefined && objects === undefined);
  if (bare) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${bare.place}: "${bare.file}" has neither a mask nor outlined objects. Put masks into a folder "masks" beside "images", name them in a column "mask", or give a COCO file.`,
    );
  }
  const categories = categoriesOf(records);
  if (categories.length > 0) return objectClasses(request, categories);
  const numbers = await scan(definingRecords(data), request.reduceLabels ?? false);
  const isBinary =
    !request.reduceLabels && numbers.size > 0 && [...numbers.keys()].every((n) => n === 0 || n === IGNORED);
  if (isBinary && numbers.has(IGNORED)) {
    const names = labels ?? ['background', 'object'];
    return { ...fitting(request, names), maskOf: (record) => ({ kind: 'object', record }) };
  }
  const chosen = fitting(request, labels ?? labelsOrNumbers(request.model, request.classes));
  for (const [number, file] of numbers) checkNumber(number, chosen.labels, `"${file}"`);
  const none: ClassNumbers = { numbers: new Map(), background: IGNORED };
  return { ...chosen, maskOf: (record) => ({ kind: 'classes', record, numbers: none }) };
}

/** @throws OnnxLoraError `DATA_INVALID` for a mask's number beyond the classes */
export function checkNumber(number: number, labels: readonly string[], place: string): void {
  if (number < labels.length || number === IGNORED) return;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The mask ${place} has the class number ${number}, but there are ${labels.length} classes, 0 to ${labels.length - 1}: ${quotedNames(labels, 20)}. Name all classes of your data in "labels" (--set labels=…), in the order of their numbers; the model then gets a new head for them.`,
  );
}

function objectClasses(request: ClassesRequest, categories: readonly string[]): SegmentationClasses {
  const own = labelsOrNumbers(request.model, request.classes);
  const known = categories.every((category) => own.includes(category));
  const chosen = fitting(request, request.labels ?? (known ? own : ['background', ...categories.filter(isThing)]));
  const unknown = categories.find((category) => !chosen.labels.includes(category));
  if (unknown !== undefined) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${request.data.root}" has objects of the category "${unknown}", but the labels are: ${quotedNames(chosen.labels, 20)}.${didYouMean(unknown, chosen.labels)} Add it to "labels".`,
    );
  }
  const background = chosen.labels.findIndex((label) => !isThing(label));
  const numbers: ClassNumbers = {
    numbers: new Map(chosen.labels.map((label, number) => [label, number])),
    background: background < 0 ? IGNORED : background,
  };
  return { ...chosen, maskOf: (record) => ({ kind: 'classes', record, numbers }) };
}

function isThing(label: string): boolean {
  return label.toLowerCase() !== 'background';
}

/** The labels, and whether the head has them: by name, or by number if the model names none. */
function fitting({ model, classes }: ClassesRequest, labels: readonly string[]): Omit<SegmentationClasses, 'maskOf'> {
  if (labels.length < 2 || labels.length > 255 || new Set(labels).size < labels.length) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"labels" must name 2 to 255 classes, each once, but is ${quotedNames(labels, 20)}. Name the background too.`,
    );
  }
  const own = labelsOrNumbers(model, classes);
  const isUnnamed = own.every((label, id) => label === String(id) || label === `LABEL_${id}`);
  const isSame = labels.length === classes && (isUnnamed || labels.every((label, id) => label === own[id]));
  return { labels, isNew: !isSame };
}

function categoriesOf(records: readonly ImageRecord[]): string[] {
  const all = records.flatMap(({ mask, objects = [] }) =>
    mask === undefined ? objects.flatMap(({ category }) => category ?? []) : [],
  );
  return [...new Set(all)].sort();
}

/** The numbers in a sample of masks, each with one of its files. */
async function scan(records: readonly ImageRecord[], reduceLabels: boolean): Promise<Map<number, string>> {
  const numbers = new Map<number, string>();
  const step = Math.max(1, Math.floor(records.length / SCANNED));
  for (let i = 0; i < records.length; i += step) {
    const { mask } = records[i]!;
    if (mask === undefined) continue;
    for (const number of new Set((await readClassMask(mask)).data)) {
      const reduced = reduceLabels && number !== IGNORED ? (number + IGNORED) % (IGNORED + 1) : number;
      if (!numbers.has(reduced)) numbers.set(reduced, mask);
    }
  }
  return numbers;
}
