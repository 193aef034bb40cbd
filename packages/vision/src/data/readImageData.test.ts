import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { dataFolder } from '../../fixtures/dataFolder.ts';
import type { ImageDataOptions, ImageRecord } from './imageRecord.ts';
import { readImageData } from './readImageData.ts';

type Content = Readonly<Record<string, string | true | null>>;

const images = (...names: string[]): Content => Object.fromEntries(names.map((name) => [name, true]));

/** Everything of records but where they come from, paths from `root`. */
function shown(root: string, records: readonly ImageRecord[] = []): unknown[] {
  return records.map(({ file, mask, ...more }) => {
    const rest = Object.fromEntries(Object.entries(more).filter(([name]) => name !== 'place'));
    return { file: relative(root, file), ...(mask === undefined ? {} : { mask: relative(root, mask) }), ...rest };
  });
}

async function read(content: Content, options: ImageDataOptions = {}, path = ''): Promise<Record<string, unknown>> {
  const root = dataFolder(content);
  const { train, validation, test, warnings } = await readImageData(join(root, path), options);
  return {
    train: shown(root, train),
    ...(validation ? { validation: shown(root, validation) } : {}),
    ...(test ? { test: shown(root, test) } : {}),
    // Test images are the same file again and again.
    ...(warnings?.some((text) => !text.includes('more than one split')) ? { warnings } : {}),
  };
}

describe('folders', () => {
  // Other systems have no such names.
  test.runIf(process.platform === 'linux')('whose names are not UTF-8 are refused', async () => {
    const root = dataFolder(images('rot/1.png'));
    mkdirSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from('grün', 'latin1')]));
    await expect(readImageData(root)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(/The name "gr\uFFFDn" in ".*" is not UTF-8.* Rename it/),
    });
  });

  test('of classes give labels', async () => {
    expect(await read(images('b/2.png', 'b/10.PNG', 'a/x.png'))).toEqual({
      train: [
        { file: 'a/x.png', label: 'a' },
        { file: 'b/10.PNG', label: 'b' },
        { file: 'b/2.png', label: 'b' },
      ],
    });
    const [record] = (await readImageData(dataFolder(images('a/x.png')))).train;
    expect(record!.place).toBe(record!.file);
  });

  test('are read in an order that depends on names alone, without what is hidden or no image', async () => {
    const root = dataFolder({
      ...images('b/2.png', 'b/10.PNG', 'b/.hidden.png', '.git/x.png', 'B/a.jpeg', 'ä/a.webp', 'a/x.png'),
      'b/notes.txt': 'x',
      'elsewhere.csv': 'x',
    });
    const outside = dataFolder(images('x.png'));
    symlinkSync(outside, join(root, 'link'), 'dir');
    const { train } = await readImageData(root);
    const expected = ['B/a.jpeg', 'a/x.png', 'b/10.PNG', 'b/2.png', 'link/x.png', 'ä/a.webp'];
    expect(train.map(({ file }) => relative(root, file))).toEqual(expected);
  });

  test.each<[string, Content, RegExp]>([
    ['no images', { 'x.txt': 'x' }, /has no images \(\.jpg.*and no class folders.*cat.*dog/],
    ['an empty class', { 'a/1.png': true, 'leer/': null }, /class folder ".*leer" has no images: it is empty/],
    [
      'a class of other files',
      { 'a/1.png': true, 'b/1.bmp': 'BM' },
      /b" has no images: it holds "1.bmp", and known endings are .jpg/,
    ],
    [
      'a manifest of something else',
      { ...images('a/1.png', 'b/1.png'), 'labels.csv': 'number,name\n0,a\n1,b' },
      /no column for the image.*If this file does not describe what is in ".*", move it elsewhere/,
    ],
    ['nested classes', images('a/1.png', 'b/c/1.png'), /b" has no images: it holds the folders "c"/],
    [
      'an empty class in validation',
      { ...images('train/a/1.png', 'train/b/1.png'), 'val/a': null },
      /a" has no images/,
    ],
  ])('are refused for %s', async (_, content, reason) => {
    await expect(read(content)).rejects.toMatchObject({ code: 'DATA_INVALID', message: expect.stringMatching(reason) });
  });

  test('of splits give splits; a test split alone is what is measured', async () => {
    const train = { file: 'train/a/1.png', label: 'a', split: 'train' };
    expect(await read(images('train/a/1.png', 'val/a/2.png', 'test/b/3.png'))).toEqual({
      train: [train],
      validation: [{ file: 'val/a/2.png', label: 'a', split: 'validation' }],
      test: [{ file: 'test/b/3.png', label: 'b', split: 'test' }],
    });
    expect(await read(images('train/a/1.png', 'test/b/3.png'))).toEqual({
      train: [train],
      validation: [{ file: 'test/b/3.png', label: 'b', split: 'test' }],
    });
  });

  test('of images alone give records without labels', async () => {
    expect(await read({ ...images('2.png', '1.png'), 'notes.md': 'x' })).toEqual({
      train: [{ file: '1.png' }, { file: '2.png' }],
    });
    expect(await read(images('train/1.png', 'val/2.png'))).toEqual({
      train: [{ file: 'train/1.png', split: 'train' }],
      validation: [{ file: 'val/2.png', split: 'validation' }],
    });
    expect(await read(images('train/1.png', 'tram/2.png'))).toMatchObject({
      train: [{ label: 'train' }, { label: 'tram' }],
    });
  });

  test('of images and masks are matched by name', async () => {
    expect(
      await read(images('images/a.png', 'images/b.png', 'masks/a.png', 'masks/b_mask.png', 'masks/c.png')),
    ).toEqual({
      train: [
        { file: 'images/a.png', mask: 'masks/a.png' },
        { file: 'images/b.png', mask: 'masks/b_mask.png' },
      ],
    });
    // As ADE20K and many others are published.
    expect(
      await read(
        images(
          'images/training/a.png',
          'annotations/training/a.png',
          'images/validation/b.png',
          'annotations/validation/b.png',
        ),
      ),
    ).toEqual({
      train: [{ file: 'images/training/a.png', mask: 'annotations/training/a.png', split: 'train' }],
      validation: [{ file: 'images/validation/b.png', mask: 'annotations/validation/b.png', split: 'validation' }],
    });
    expect(
      await read(images('train/images/a.png', 'train/masks/a.png', 'val/images/b.png', 'val/masks/b.png')),
    ).toMatchObject({
      train: [{ mask: 'train/masks/a.png' }],
      validation: [{ mask: 'val/masks/b.png' }],
    });
  });
});

describe('manifests', () => {
  test('name columns as people do', async () => {
    const manifest = [
      'image,mask,x,y,category,stamp,split',
      'i/0.png,m/0.png,86,50,military,a,train',
      'i/1.png,m/1.png,63.5,38,animals,b,val',
      'i/2.png,m/2.png,1,2,"town, big",c,test',
    ].join('\r\n');
    expect(
      await read({
        'manifest.csv': `\uFEFF${manifest}\r\n\r\n`,
        ...images('i/0.png', 'i/1.png', 'i/2.png', 'm/0.png', 'm/1.png', 'm/2.png'),
      }),
    ).toEqual({
      train: [{ file: 'i/0.png', mask: 'm/0.png', points: [[86, 50]], label: 'military', split: 'train' }],
      validation: [{ file: 'i/1.png', mask: 'm/1.png', points: [[63.5, 38]], label: 'animals', split: 'validation' }],
      test: [{ file: 'i/2.png', mask: 'm/2.png', points: [[1, 2]], label: 'town, big', split: 'test' }],
      warnings: ['Columns that are not used: "stamp".', expect.stringContaining('more than one split')],
    });
  });

  test.each<[string, string, string, unknown, (readonly string[])?]>([
    ['semicolons', 'labels.csv', 'File;Class\n1.png;a', { label: 'a' }],
    ['tabs', 'labels.tsv', 'filename\tlabel\n1.png\t"a ""b"""', { label: 'a "b"' }],
    ['labels in one cell', 'labels.csv', 'image,labels\n1.png,a|b', { labels: ['a', 'b'] }],
    ['labels as JSON', 'labels.csv', 'image,tags\n1.png,"[""a"", ""b, c""]"', { labels: ['a', 'b, c'] }],
    ['no labels', 'labels.csv', 'image,labels\n1.png,', { labels: [] }],
    [
      'columns of 0 and 1',
      'labels.csv',
      'image,id,sun,rain,fog\n1.png,7,1,0,1',
      { labels: ['sun', 'fog'] },
      ['Columns that are not used: "id".'],
    ],
    ['a value', 'labels.csv', 'path,value\n1.png,1e-3', { values: [0.001] }],
    ['values in one cell', 'labels.csv', 'path,values\n1.png,1;-2.5', { values: [1, -2.5] }],
    ['values as JSON', 'labels.jsonl', '{"image": "1.png", "values": [1, -2.5]}', { values: [1, -2.5] }],
    ['a caption', 'captions.csv', 'image,caption\n1.png,"a\nb"', { text: 'a\nb' }],
    [
      'a box',
      'boxes.csv',
      'image,label,xmin,ymin,xmax,ymax\n1.png,a,1,2,3,4',
      { label: 'a', objects: [{ box: [1, 2, 3, 4], category: 'a' }] },
    ],
    ['a box of COCO', 'boxes.jsonl', '{"image": "1.png", "bbox": [1, 2, 3, 4]}', { objects: [{ box: [1, 2, 4, 6] }] }],
    [
      'objects of Hugging Face',
      'metadata.jsonl',
      '{"file_name": "1.png", "objects": {"bbox": [[1, 2, 3, 4]], "categories": [5]}}',
      { objects: [{ box: [1, 2, 4, 6], category: '5' }] },
    ],
    [
      'JSON values',
      'metadata.jsonl',
      '\n{"file_name": "1.png", "label": 3, "points": [[1, 2]]}',
      { label: '3', points: [[1, 2]] },
    ],
    ['a JSON list', 'manifest.json', '[{"image": "1.png", "labels": ["a"]}]', { labels: ['a'] }],
    ['a list of paths', 'list.txt', '# all\n1.png 17\n', { label: '17' }],
    ['a list with tabs', 'list.txt', '1.png\tblack bear', { label: 'black bear' }],
    ['a group', 'labels.csv', 'image,group\n1.png,p1', { group: 'p1' }],
  ])('have %s', async (_, name, text, expected, warnings) => {
    expect(await read({ [name]: text, ...images('1.png') }, {}, name)).toEqual({
      ...(warnings && { warnings }),
      train: [{ file: '1.png', ...(expected as object) }],
    });
  });

  test('in another encoding than UTF-8 are refused with the line', async () => {
    const texts = {
      'list.txt': '1.png rot\n1.png grün',
      'labels.csv': 'image,label\n1.png,grün',
      'labels.json': '[\n{"image":"1.png","label":"grün"}]',
    };
    for (const [name, text] of Object.entries(texts)) {
      const root = dataFolder(images('1.png'));
      writeFileSync(join(root, name), text, 'latin1');
      const message = expect.stringMatching(`${name.replace('.', '\\.')}, line 2: the text is not UTF-8: .*"grün"`);
      await expect(readImageData(join(root, name))).rejects.toMatchObject({ code: 'DATA_INVALID', message });
    }
  });

  test('are found in their folder, and in the folders of splits', async () => {
    const row = '{"file_name": "1.png", "text": "x"}';
    for (const name of ['manifest.jsonl', 'metadata.jsonl', 'labels.ndjson'])
      expect(await read({ [name]: row, ...images('1.png') })).toMatchObject({ train: [{ text: 'x' }] });
    expect(
      await read({ 'train/metadata.jsonl': row, 'test/metadata.jsonl': row, ...images('train/1.png', 'test/1.png') }),
    ).toMatchObject({ train: [{ file: 'train/1.png', text: 'x' }], validation: [{ file: 'test/1.png' }] });
  });

  test('may have other columns and another folder of images', async () => {
    const table = {
      'm.csv': 'ref,who,kind,a,b\n1.png,p1,x,0,2.5\n2.png,p1,y,1,3',
      ...images('pictures/1.png', 'pictures/2.png'),
    };
    const root = dataFolder(table);
    const columns = { image: 'ref', group: 'who', label: 'kind', values: ['a', 'b'] };
    const { train } = await readImageData(join(root, 'm.csv'), { columns, imageFolder: join(root, 'pictures') });
    expect(shown(root, train)).toEqual([
      { file: 'pictures/1.png', group: 'p1', label: 'x', values: [0, 2.5] },
      { file: 'pictures/2.png', group: 'p1', label: 'y', values: [1, 3] },
    ]);
    expect(train[1]!.place).toBe(`${join(root, 'm.csv')}, line 3`);
  });

  test('may name an image again for another point or caption, which a split keeps together', async () => {
    const rows = Array.from({ length: 20 }, (_, i) => `${i % 5}.png,caption ${i}`);
    const names = ['0.png', '1.png', '2.png', '3.png', '4.png'];
    const root = dataFolder({ 'metadata.csv': ['image,text', ...rows, rows[3]].join('\n'), ...images(...names) });
    // Images that differ, so that no two are found to be the same.
    for (const name of names) writeFileSync(join(root, name), name);
    const { train, validation, warnings } = await readImageData(root, { validation: 0.4 });
    expect([train.length, validation!.length]).toEqual([12, 8]);
    expect(warnings).toEqual([
      expect.stringMatching(/line 22: it says the same as .*line 5. 1 such lines are left out/),
    ]);
  });

  const one = images('1.png');
  test.each<[string, Content, RegExp, ImageDataOptions?]>([
    [
      'a column that is missing',
      { 'labels.csv': 'bild,label\n1.png,a' },
      /labels\.csv" has no column for the image.*"bild", "label".*columns: \{ image: 'bild' \}/,
    ],
    ['no header', { 'labels.csv': '1.png,a\n2.png,b' }, /Its first line looks like data: put a header before it/],
    [
      'a chosen column',
      { 'labels.csv': 'image,species\n1.png,a' },
      /no column "specie" \(columns.label\). Did you mean "species"/,
      { columns: { label: 'specie' } },
    ],
    ['two columns of one name', { 'labels.csv': 'image,a,a\n1.png,1,2' }, /line 1: two columns are named "a"/],
    [
      'a short line',
      { 'labels.csv': 'image,label\n1.png,a\n2.png' },
      /labels\.csv, line 3: the line has 1 cells, but the header has 2 \("image", "label"\)/,
    ],
    ['an open quote', { 'labels.csv': 'image,label\n1.png,"a\n' }, /labels\.csv.*Quote.*Correct the line/s],
    ['no rows', { 'labels.csv': 'image,label\n' }, /labels\.csv" has no rows/],
    ['an empty file', { 'labels.csv': '' }, /labels\.csv" has no rows/],
    ['no image', { 'labels.csv': 'image,label\n,a' }, /line 2: the column "image" is empty/],
    [
      'a number',
      { 'labels.csv': 'image,value\n1.png,"1,5"', ...one },
      /line 2, column "value": a number is expected, but it is "1,5"/,
    ],
    [
      'a decimal comma',
      { 'labels.csv': 'image;x;y\n1.png;1,5;2', ...one },
      /line 2, column "x": a number is expected, but it is "1,5". Write it with a point/,
    ],
    [
      'a split',
      { 'labels.csv': 'image,split\n1.png,trian', ...one },
      /line 2, column "split": a split is expected, but it is "trian". Splits are train, validation and test/,
    ],
    [
      'a box inside out',
      { 'labels.csv': 'image,box\n1.png,"9,2,3,4"', ...one },
      /column "box": a box .* is expected, but it is \[9,2,3,4\]/,
    ],
    ['a file outside', { 'labels.csv': 'image,label\n../1.png,a' }, /line 2: "\.\.\/1\.png" lies outside/],
    ['an absolute path', { 'labels.csv': 'image,label\n/etc/hostname,a' }, /line 2: "\/etc\/hostname" lies outside/],
    ['a mask outside', { 'labels.csv': 'image,mask\n1.png,a/../../m.png', ...one }, /lies outside/],
    [
      'files that are missing',
      { 'labels.csv': 'image,label\n1.png,a\n11.png,b\n3.png,b', ...one },
      /line 3: there is no file ".*11\.png"\. Did you mean "1\.png".*missing for 2 of 3 images/,
    ],
    [
      'labels that contradict',
      { 'labels.csv': 'image,label\n1.png,a\n1.png,b', ...one },
      /line 3: .*1\.png" has the label "b", but "a" at .*line 2.*"a\|b"/,
    ],
    [
      'splits that contradict',
      { 'labels.csv': 'image,split\n1.png,train\n1.png,test', ...one },
      /line 3: .*is also at .*line 2/,
    ],
    ['no JSON', { 'labels.jsonl': '{"image": "1.png"}\n{"image": \n' }, /labels\.jsonl, line 2: not JSON/],
    ['no object', { 'labels.jsonl': '"1.png"' }, /line 1: not an object/],
    [
      'no test split',
      images('a/1.png'),
      /evalSplit is "test", but the data have no such split: 1 images are for training and 0 for validation/,
      { evalSplit: 'test' },
    ],
    [
      'masks that are missing',
      images('images/a.png', 'images/b.png', 'masks/a.png'),
      /1 of the 2 images of ".*images" have no mask in ".*masks": "b\.png"/,
    ],
    ['nothing', {}, /no class folders/],
    ['a fraction', images('a/1.png'), /between 0 and 1, but is 20/, { validation: 20 }],
    [
      'too little',
      images('a/1.png'),
      /Nothing of ".*" can be held out at a fraction of 0.5: there are 1 images/,
      { validation: 0.5 },
    ],
  ])('are refused for %s', async (_, content, reason, options = {}) => {
    await expect(read(content, options)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(reason),
    });
  });

  test.each(['test', 'validation'])('may be measured on only: %s', async (split) => {
    const only = { train: [], validation: [{ file: '1.png', label: 'a', split }] };
    expect(await read({ 'labels.csv': `image,label,split\n1.png,a,${split}`, ...one })).toEqual(only);
    const { train, validation } = await readImageData(dataFolder(images(`${split}/a/1.png`, `${split}/b/2.png`)));
    expect([train, validation?.map(({ label }) => label)]).toEqual([[], ['a', 'b']]);
  });

  test('have the part to be measured on that is asked for', async () => {
    const all = dataFolder(images('train/a/1.png', 'validation/a/2.png', 'test/a/3.png', 'test/a/4.png'));
    const sizes = async (options: ImageDataOptions): Promise<(number | undefined)[]> => {
      const { train, validation, test: rest } = await readImageData(all, options);
      return [train.length, validation?.length, rest?.length];
    };
    expect(await sizes({})).toEqual([1, 1, 2]);
    expect(await sizes({ evalSplit: 'validation' })).toEqual([1, 1, 2]);
    expect(await sizes({ evalSplit: 'test' })).toEqual([1, 2, undefined]);
    expect(await sizes({ evalSplit: 'test', validation: 0.5 })).toEqual([1, 2, undefined]);
  });

  test('may leave out files that are missing, and say so', async () => {
    expect(await read({ 'labels.csv': 'image,label\n1.png,a\n2.png,b', ...one }, { missingImages: 'skip' })).toEqual({
      train: [{ file: '1.png', label: 'a' }],
      warnings: [expect.stringMatching(/line 3: there is no file.*1 of 2 images; they are left out/)],
    });
  });
});

describe('COCO', () => {
  const coco = {
    images: [
      { id: 1, file_name: 'a.png', width: 18, height: 13 },
      { id: 2, file_name: 'b.png', width: 18, height: 13 },
    ],
    categories: [
      { id: 7, name: 'cat' },
      { id: 9, name: 'dog' },
    ],
    annotations: [
      {
        id: 1,
        image_id: 1,
        category_id: 9,
        bbox: [1, 2, 3, 4],
        segmentation: [
          [1, 2, 4, 2, 4, 6, 1, 6],
          [0, 0, 1, 1],
        ],
        iscrowd: 0,
      },
      { id: 2, image_id: 1, category_id: 7, segmentation: { size: [2, 2], counts: [1, 2, 1] }, iscrowd: 1 },
      { id: 3, image_id: 1, category_id: 9, bbox: [5, 5, 0, 0], segmentation: { size: [2, 2], counts: '121' } },
    ],
  };
  const objects = [
    { category: 'dog', box: [1, 2, 4, 6], shape: { kind: 'polygons', rings: [[1, 2, 4, 2, 4, 6, 1, 6]] } },
    { category: 'cat', shape: { kind: 'runs', height: 2, width: 2, counts: [1, 2, 1] }, crowd: true },
    { category: 'dog', shape: { kind: 'runs', height: 2, width: 2, counts: [1, 2, 1] } },
  ];

  test('gives objects, and their categories as labels', async () => {
    const expected = {
      train: [
        { file: 'a.png', objects, labels: ['dog', 'cat'] },
        { file: 'b.png', objects: [], labels: [] },
      ],
    };
    const text = JSON.stringify(coco);
    expect(await read({ 'any.json': text, ...images('a.png', 'b.png') }, {}, 'any.json')).toEqual(expected);
    expect(await read({ '_annotations.coco.json': text, ...images('a.png', 'b.png') })).toEqual(expected);
  });

  test('is found as it is published', async () => {
    const one = (name: string) => JSON.stringify({ images: [{ id: 1, file_name: name }], annotations: [] });
    const content = {
      'annotations/instances_train2017.json': one('a.png'),
      'annotations/instances_val2017.json': one('b.png'),
      'annotations/captions_val2017.json': one('b.png'),
      ...images('train2017/a.png', 'val2017/b.png'),
    };
    expect(await read(content)).toEqual({
      train: [{ file: 'train2017/a.png', objects: [], split: 'train' }],
      validation: [{ file: 'val2017/b.png', objects: [], split: 'validation' }],
    });
    expect(await read({ 'annotations/all.json': one('a.png'), ...images('images/a.png') })).toMatchObject({
      train: [{ file: 'images/a.png' }],
    });
  });

  test('of captions gives one record each', async () => {
    const captions = {
      images: coco.images,
      annotations: [
        { id: 1, image_id: 2, caption: ' one ' },
        { id: 2, image_id: 2, caption: 'two' },
      ],
    };
    const root = dataFolder({ 'captions.json': JSON.stringify(captions), ...images('b.png') });
    const { train } = await readImageData(join(root, 'captions.json'));
    const group = join(root, 'b.png');
    expect(shown(root, train)).toEqual(['one', 'two'].map((text) => ({ file: 'b.png', text, group })));
  });

  type Coco = typeof coco;
  const broken = (change: (copy: Coco) => void): string => {
    const copy = structuredClone(coco);
    change(copy);
    return JSON.stringify(copy);
  };
  test.each<[string, string, RegExp]>([
    ['no JSON', '{', /coco\.json" as JSON/],
    ['something else', '{"a": 1}', /coco\.json" is neither a COCO file/],
    ['no images', '{"images": [], "annotations": []}', /lists no images/],
    [
      'an image without a name',
      broken(({ images: [a] }) => Object.assign(a!, { file_name: 1 })),
      /image 1 \(id 1\): "file_name" must be a text/,
    ],
    ['an id twice', broken(({ images: [a] }) => (a!.id = 2)), /image 2 \(id 2\): the id 2 is that of an image before/],
    ['an image outside', broken(({ images: [a] }) => (a!.file_name = '../../a.png')), /lies outside/],
    [
      'an unknown image',
      broken(({ annotations: [a] }) => (a!.image_id = 5)),
      /annotation 1 \(id 1\): there is no image 5/,
    ],
    [
      'an unknown category',
      broken(({ annotations: [a] }) => (a!.category_id = 5)),
      /annotation 1 \(id 1\): there is no category 5/,
    ],
    ['a box of three', broken(({ annotations: [a] }) => (a!.bbox = [1, 2, 3])), /"bbox" must be/],
    ['an odd outline', broken(({ annotations: [a] }) => (a!.segmentation = [[1, 2, 3]])), /"segmentation" must be/],
    [
      'runs of another size',
      broken(({ annotations }) => Object.assign(annotations[1]!, { segmentation: { size: [9, 9], counts: [1] } })),
      /annotation 2 \(id 2\): the run lengths add up to 1, but 9 x 9 pixels are 81/,
    ],
    [
      'a mask too large',
      broken(({ annotations }) =>
        Object.assign(annotations[1]!, { segmentation: { size: [1e6, 1e6], counts: [1e12] } }),
      ),
      /claims 1000000 x 1000000 pixels/,
    ],
    [
      'a malformed text',
      broken(({ annotations }) => Object.assign(annotations[1]!, { segmentation: { size: [2, 2], counts: '~' } })),
      /run lengths are malformed/,
    ],
  ])('is refused for %s', async (_, text, reason) => {
    await expect(read({ 'coco.json': text, ...images('a.png', 'b.png') })).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(reason),
    });
  });
});

describe('other sources', () => {
  test('are records of the user, one after another or all at once', async () => {
    const records = ['a', 'b', 'a', 'b'].map((label, i) => ({ file: `${i}.png`, place: `row ${i}`, label }));
    // Asynchronous, as a database would be.
    // oxlint-disable-next-line require-await
    async function* stream(): AsyncGenerator<ImageRecord> {
      yield* records;
    }
    for (const source of [records, stream()]) {
      const { train, validation } = await readImageData(source, { validation: 0.5 });
      expect([...train, ...validation!].sort((a, b) => (a.file < b.file ? -1 : 1))).toEqual(records);
      expect(new Set(validation!.map(({ label }) => label))).toEqual(new Set(['a', 'b']));
    }
    const data = await readImageData(records);
    expect(await readImageData(data)).toEqual(data);
    await expect(readImageData([{ label: 'a' } as unknown as ImageRecord])).rejects.toThrow(
      /record 1: it has no "file"/,
    );
  });

  test('for validation are all of other data, or its own validation', async () => {
    const root = dataFolder(
      images('a/1.png', 'a/2.png', 'other/x/3.png', 'splits/train/x/4.png', 'splits/val/x/5.png'),
    );
    const held = async (name: string) =>
      shown(root, (await readImageData(join(root, 'a'), { validation: join(root, name) })).validation);
    expect(await held('other')).toEqual([{ file: 'other/x/3.png', label: 'x' }]);
    expect(await held('splits')).toEqual([{ file: 'splits/val/x/5.png', label: 'x', split: 'validation' }]);
  });

  test('hold a part out where nobody says so, nothing where that is said, and bring their warnings', async () => {
    const records = Array.from({ length: 10 }, (_, i) => ({
      file: `${i}.png`,
      place: `row ${i}`,
      label: 'ab'[i % 2]!,
    }));
    const held = async (options: ImageDataOptions): Promise<number | undefined> =>
      (await readImageData(records, options)).validation?.length;
    expect(await held({ holdOut: 0.2 })).toBe(2);
    expect(await held({ holdOut: 0.2, canMeasure: () => false })).toBeUndefined();
    expect(await held({ holdOut: 0.2, validation: 0 })).toBeUndefined();
    expect(await held({})).toBeUndefined();
    const root = dataFolder({ 'labels.csv': 'image,label\n1.png,a\n1.png,a', ...images('1.png') });
    const { warnings } = await readImageData(records, { validation: root });
    expect(warnings).toEqual([expect.stringContaining('it says the same as')]);
    await expect(readImageData([])).rejects.toThrow('The given data has no images');
  });

  test('are refused when they are no data', async () => {
    const root = dataFolder({ 'data.parquet': 'PAR1', ...images('a.png') });
    await expect(readImageData(join(root, 'nowhere'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(readImageData(join(root, 'data.parquet'))).rejects.toThrow(/data\.parquet" is no data.*\.csv/);
    // A gigabyte that takes no room on the disk.
    for (const name of ['large.csv', 'large.jsonl', 'large.json', 'large.txt']) {
      writeFileSync(join(root, name), 'image,label');
      truncateSync(join(root, name), 2 ** 30);
      await expect(readImageData(join(root, name)), name).rejects.toThrow(
        /has 1073741824 bytes, more than can be read/,
      );
    }
  });
});
