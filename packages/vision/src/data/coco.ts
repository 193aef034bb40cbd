/** @file COCO files: boxes, polygons, run-length encodings and captions. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { fileInside, type FolderEntries, readFolder, type Split } from '@onnx-lora/sdk/data';
import { basename, dirname, existsSync, join } from '@onnx-lora/sdk/platform';
import type { ImageDataOptions, ImageObject, ImageRecord, Shape } from './imageRecord.ts';
import { boxFrom } from './manifest.ts';
import { parseCocoCounts } from './shapes/outlines.ts';

interface CocoFileOfSplit {
  readonly file: string;
  readonly split?: Split;
}

/** COCO files in a folder, by name, or in its `annotations`. `instances_…` exclude others, such as `captions_…`. */
export async function cocoFilesIn(root: string, { files, folders }: FolderEntries): Promise<CocoFileOfSplit[]> {
  // Label Studio calls its exports result.json (COCO) and project-1-at-….json (its own form).
  const own = files.filter((name) => /^(instances|captions|annotations|project-\d)[^/]*\.json$|coco[^/]*\.json$|^result\.json$/i.test(name)); // prettier-ignore
  const folder = own.length === 0 && folders.includes('annotations') ? join(root, 'annotations') : root;
  const names = folder === root ? own : (await readFolder(folder)).files.filter((name) => /\.json$/i.test(name));
  const instances = names.filter((name) => /^instances/i.test(name));
  const captions = names.filter((name) => /^captions/i.test(name));
  const chosen = [instances, captions, names].find((each) => each.length > 0) ?? [];
  return chosen.map((name) => {
    const split = chosen.length > 1 ? splitIn(name) : undefined;
    return { file: join(folder, name), ...(split ? { split } : {}) };
  });
}

function splitIn(name: string): Split | undefined {
  if (/train/i.test(name)) return 'train';
  if (/val/i.test(name)) return 'validation';
  return /test/i.test(name) ? 'test' : undefined;
}

interface CocoFile {
  readonly images: readonly unknown[];
  readonly annotations?: readonly unknown[];
  readonly categories?: readonly unknown[];
}

/** True for a parsed COCO file. */
export function isCoco(json: unknown): json is CocoFile {
  if (typeof json !== 'object' || json === null || !('images' in json) || !Array.isArray(json.images)) return false;
  const { annotations = [], categories = [] } = json as { annotations?: unknown; categories?: unknown };
  return Array.isArray(annotations) && Array.isArray(categories);
}

/**
 * One record per image, with objects, and their categories as labels; for caption files, one record per caption,
 * grouped by image.
 * @throws OnnxLoraError `DATA_INVALID`, naming the image or annotation
 */
export function cocoRecords(coco: CocoFile, file: string, options: ImageDataOptions): ImageRecord[] {
  const folder = options.imageFolder ?? usualFolder(coco, file);
  const categories = new Map<string, string>();
  for (const [i, each] of (coco.categories ?? []).entries()) {
    const category = fieldsOf(each, `${file}, category ${i + 1}`);
    const { name } = category.fields;
    if (typeof name !== 'string') throw refused(category.place, '"name" must be a text');
    categories.set(idOf(category, 'id'), name);
  }
  const images = new Map<string, { readonly record: ImageRecord; objects: ImageObject[]; captions: CocoFields[] }>();
  for (const [i, each] of coco.images.entries()) {
    const image = fieldsOf(each, `${file}, image ${i + 1}`);
    const id = idOf(image, 'id');
    const { file_name: name } = image.fields;
    if (typeof name !== 'string') throw refused(image.place, '"file_name" must be a text');
    if (images.has(id)) throw refused(image.place, `the id ${id} is that of an image before`);
    const record = { file: fileInside(folder, name, image.place, 'imageFolder'), place: image.place };
    images.set(id, { record, objects: [], captions: [] });
  }
  let hasCaptions = false;
  for (const [i, each] of (coco.annotations ?? []).entries()) {
    const annotation = fieldsOf(each, `${file}, annotation ${i + 1}`);
    const image = images.get(idOf(annotation, 'image_id'));
    if (!image) throw refused(annotation.place, `there is no image ${idOf(annotation, 'image_id')}`);
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
  if (typeof caption !== 'string') throw refused(annotation.place, '"caption" must be a text');
  return { ...record, place: annotation.place, text: caption.trim(), group: record.file };
}

function objectOf(annotation: CocoFields, categories: ReadonlyMap<string, string>): ImageObject {
  const { category_id: categoryId, bbox, segmentation, iscrowd, area } = annotation.fields;
  const category = categoryId === undefined ? undefined : categories.get(idOf(annotation, 'category_id'));
  if (categoryId !== undefined && category === undefined)
    throw refused(annotation.place, `there is no category ${idOf(annotation, 'category_id')}`);
  if (
    bbox !== undefined &&
    !(Array.isArray(bbox) && (bbox.length === 0 || (bbox.length === 4 && bbox.every(Number.isFinite))))
  )
    throw refused(annotation.place, '"bbox" must be [x, y, width, height]');
  // Boxes without an extent come from accidental clicks.
  const box = Array.isArray(bbox) ? boxFrom(bbox, true) : undefined;
  const shape = segmentation === undefined ? undefined : cocoShape(segmentation, annotation.place);
  return {
    ...(category === undefined ? {} : { category }),
    ...(box ? { box } : {}),
    ...(shape ? { shape } : {}),
    ...(typeof area === 'number' && area >= 0 ? { area } : {}),
    ...(iscrowd === 1 || iscrowd === true ? { crowd: true } : {}),
  };
}

/** The image folder: the first of the usual places with the first image. */
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
  const found =
    typeof name === 'string' && places.find((place) => existsSync(fileInside(place, name, file, 'imageFolder')));
  return found || folder;
}

interface CocoFields {
  readonly place: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** @throws OnnxLoraError `DATA_INVALID` for anything but an object */
function fieldsOf(entry: unknown, place: string): CocoFields {
  if (typeof entry === 'object' && entry !== null && !Array.isArray(entry)) {
    const { id } = entry as { id?: unknown };
    const name = typeof id === 'number' || typeof id === 'string' ? ` (id ${id})` : '';
    return { place: place + name, fields: entry as Record<string, unknown> };
  }
  throw refused(place, 'it is no object');
}

function idOf({ fields, place }: CocoFields, name: string): string {
  const id = fields[name];
  if (typeof id === 'number' || typeof id === 'string') return String(id);
  throw refused(place, `"${name}" must be a number`);
}

const MOST_PIXELS = 100_000_000;

/** A COCO segmentation; undefined for too few corners. @throws OnnxLoraError `DATA_INVALID` for anything else */
function cocoShape(segmentation: unknown, place: string): Shape | undefined {
  if (Array.isArray(segmentation)) {
    const isRing = (ring: unknown): ring is number[] =>
      Array.isArray(ring) && ring.length % 2 === 0 && ring.every(Number.isFinite);
    if (!segmentation.every(isRing))
      throw refused(place, '"segmentation" must be lists of x, y, x, y … or run lengths');
    const rings = segmentation.filter((ring) => ring.length >= 6);
    return rings.length > 0 ? { kind: 'polygons', rings } : undefined;
  }
  const { size, counts } = (segmentation ?? {}) as { size?: unknown; counts?: unknown };
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (!Array.isArray(size) || size.length !== 2 || !size.every(isCount))
    throw refused(place, '"segmentation" needs "size": [height, width] beside "counts"');
  const [height, width] = size as [number, number];
  if (height * width > MOST_PIXELS)
    throw refused(place, `the mask claims ${height} x ${width} pixels, more than ${MOST_PIXELS}`);
  const numbers = typeof counts === 'string' ? parseCocoCounts(counts, place) : counts;
  if (!Array.isArray(numbers) || !numbers.every(isCount))
    throw refused(place, '"counts" must be a list of numbers or a text');
  const total = numbers.reduce((sum, each) => sum + each, 0);
  if (total !== height * width)
    throw refused(place, `the run lengths add up to ${total}, but ${height} x ${width} pixels are ${height * width}`);
  return { kind: 'runs', height, width, counts: numbers };
}

function refused(place: string, problem: string): OnnxLoraError {
  return new OnnxLoraError('DATA_INVALID', `${place}: ${problem}. Correct the file.`);
}
