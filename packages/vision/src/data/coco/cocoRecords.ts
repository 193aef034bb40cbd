/** @file Records from a COCO file: boxes, polygons and run lengths per image, or captions. */

import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { ImageDataOptions } from '../imageData.ts';
import type { ImageObject, ImageRecord } from '../imageRecord.ts';
import { imageInside } from '../imageInside.ts';
import { boxFrom } from '../manifest/shapeCells.ts';
import { cocoShape } from './cocoShape.ts';

/** A parsed COCO file, of which nothing but its lists is known. */
export interface CocoFile {
  readonly images: readonly unknown[];
  readonly annotations?: readonly unknown[];
  readonly categories?: readonly unknown[];
}

/** Whether a parsed JSON file is COCO's. */
export function isCoco(json: unknown): json is CocoFile {
  if (typeof json !== 'object' || json === null || !('images' in json) || !Array.isArray(json.images)) return false;
  const { annotations = [], categories = [] } = json as { annotations?: unknown; categories?: unknown };
  return Array.isArray(annotations) && Array.isArray(categories);
}

/**
 * One record per image, with its objects and, as labels, their categories; of a file of captions, one record per caption, those
 * of an image in one group.
 *
 * @throws OnnxLoraError `DATA_INVALID`, naming the image or annotation
 */
export function cocoRecords(coco: CocoFile, file: string, options: ImageDataOptions): ImageRecord[] {
  const folder = options.imageFolder ?? usualFolder(coco, file);
  const categories = new Map<string, string>();
  for (const [i, each] of (coco.categories ?? []).entries()) {
    const category = fieldsOf(each, `${file}, category ${i + 1}`);
    const { name } = category.fields;
    if (typeof name !== 'string') throw refused(category, '"name" must be a text');
    categories.set(idOf(category, 'id'), name);
  }
  const images = new Map<string, { readonly record: ImageRecord; objects: ImageObject[]; captions: CocoFields[] }>();
  for (const [i, each] of coco.images.entries()) {
    const image = fieldsOf(each, `${file}, image ${i + 1}`);
    const id = idOf(image, 'id');
    const { file_name: name } = image.fields;
    if (typeof name !== 'string') throw refused(image, '"file_name" must be a text');
    if (images.has(id)) throw refused(image, `the id ${id} is that of an image before`);
    const record = { file: imageInside(folder, name, image.place), place: image.place };
    images.set(id, { record, objects: [], captions: [] });
  }
  let hasCaptions = false;
  for (const [i, each] of (coco.annotations ?? []).entries()) {
    const annotation = fieldsOf(each, `${file}, annotation ${i + 1}`);
    const image = images.get(idOf(annotation, 'image_id'));
    if (!image) throw refused(annotation, `there is no image ${idOf(annotation, 'image_id')}`);
    if (annotation.fields['caption'] !== undefined) {
      hasCaptions = true;
      image.captions.push(annotation);
    } else image.objects.push(objectOf(annotation, categories));
  }
  const all = [...images.values()];
  if (all.length === 0) throw new OnnxLoraError('DATA_INVALID', `"${file}" lists no images. Check the file.`);
  if (hasCaptions) return all.flatMap(({ record, captions }) => captions.map((each) => captioned(record, each)));
  if (coco.annotations === undefined) return all.map(({ record }) => record);
  return all.map(({ record, objects }) => {
    const names = objects.flatMap(({ category }) => (category === undefined ? [] : [category]));
    return { ...record, objects, ...(categories.size > 0 ? { labels: [...new Set(names)] } : {}) };
  });
}

function captioned(record: ImageRecord, annotation: CocoFields): ImageRecord {
  const { caption } = annotation.fields;
  if (typeof caption !== 'string') throw refused(annotation, '"caption" must be a text');
  return { ...record, place: annotation.place, text: caption.trim(), group: record.file };
}

function objectOf(annotation: CocoFields, categories: ReadonlyMap<string, string>): ImageObject {
  const { category_id: categoryId, bbox, segmentation, iscrowd } = annotation.fields;
  const category = categoryId === undefined ? undefined : categories.get(idOf(annotation, 'category_id'));
  if (categoryId !== undefined && category === undefined)
    throw refused(annotation, `there is no category ${idOf(annotation, 'category_id')}`);
  if (
    bbox !== undefined &&
    !(Array.isArray(bbox) && (bbox.length === 0 || (bbox.length === 4 && bbox.every(Number.isFinite))))
  )
    throw refused(annotation, '"bbox" must be [x, y, width, height]');
  // Boxes without an extent occur where somebody clicked once; they say nothing.
  const box = Array.isArray(bbox) ? boxFrom(bbox, true) : undefined;
  const shape = segmentation === undefined ? undefined : cocoShape(segmentation, annotation.place);
  return {
    ...(category === undefined ? {} : { category }),
    ...(box ? { box } : {}),
    ...(shape ? { shape } : {}),
    ...(iscrowd === 1 || iscrowd === true ? { crowd: true } : {}),
  };
}

/** Where the file's images are: the first of the usual places that has the first image. */
function usualFolder(coco: CocoFile, file: string): string {
  const folder = dirname(file);
  const parent = dirname(folder);
  // instances_train2017.json belongs to train2017.
  const subset = /^[a-z_]+_([a-z]+\d*)\.json$/i.exec(basename(file))?.[1];
  const subsets = subset === undefined ? [] : [subset, subset.replace(/\d+$/, '')];
  const places = [folder, join(folder, 'images'), ...subsets.map((name) => join(folder, name))];
  if (/^(annotations|labels)$/i.test(basename(folder))) {
    const beside = [
      join(parent, 'images'),
      ...subsets.flatMap((name) => [join(parent, name), join(parent, 'images', name)]),
    ];
    places.push(...beside, parent);
  }
  const [first] = coco.images;
  const name = typeof first === 'object' && first !== null && 'file_name' in first ? first.file_name : undefined;
  const found = typeof name === 'string' && places.find((place) => existsSync(imageInside(place, name, file)));
  return found || folder;
}

function refused({ place }: CocoFields, problem: string): OnnxLoraError {
  return new OnnxLoraError('DATA_INVALID', `${place}: ${problem}. Correct the file.`);
}

/** An entry's fields, and where it is, for messages. */
interface CocoFields {
  readonly place: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** @throws OnnxLoraError `DATA_INVALID` for what is no object */
function fieldsOf(entry: unknown, place: string): CocoFields {
  if (typeof entry === 'object' && entry !== null && !Array.isArray(entry)) {
    const { id } = entry as { id?: unknown };
    const name = typeof id === 'number' || typeof id === 'string' ? ` (id ${id})` : '';
    return { place: place + name, fields: entry as Record<string, unknown> };
  }
  throw new OnnxLoraError('DATA_INVALID', `${place}: it is no object. Correct the file.`);
}

/** An id, which is a number or a text. */
function idOf({ fields, place }: CocoFields, name: string): string {
  const id = fields[name];
  if (typeof id === 'number' || typeof id === 'string') return String(id);
  throw new OnnxLoraError('DATA_INVALID', `${place}: "${name}" must be a number. Correct the file.`);
}
