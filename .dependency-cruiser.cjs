/** @file Who may import whom. `npm run layers` checks it; docs/concepts/layers.md explains it. */

const TEST = '[.]test[.]ts$|/fixtures/';

/**
 * Layers of the SDK: each may import itself and what its list names, besides `platform`, `runtime`, `files`, `errors.ts`,
 * `knownOptions.ts` and `checks.ts`, which all may use. `model/`, the entries and whatever else lies at the top of `src` stand above all layers.
 */
const layers = {
  platform: [],
  runtime: [],
  files: [],
  linalg: [],
  graph: [],
  ops: ['graph'],
  match: ['graph', 'ops'],
  autodiff: ['graph', 'ops'],
  lora: ['linalg', 'graph', 'ops', 'match', 'autodiff', 'adapter'],
  adapter: ['linalg', 'graph', 'ops', 'match', 'autodiff', 'lora'],
  train: ['linalg', 'graph', 'ops', 'match', 'autodiff', 'lora', 'adapter'],
  statistics: [],
  plugin: ['linalg', 'graph', 'ops', 'match', 'autodiff', 'lora', 'adapter', 'train', 'statistics'],
  data: ['adapter', 'plugin'],
  predict: ['adapter', 'plugin'],
  tasks: ['linalg', 'graph', 'adapter', 'train', 'statistics', 'plugin', 'data', 'predict'],
};

/** Rooms of `sdk/src/model`, lowest first: each imports itself and those before it. The functions at the top of `model` use all. */
const rooms = ['graph', 'head', 'loaded', 'planning', 'initial', 'opening', 'merging', 'quantizing', 'training'];

const roomRules = rooms.map((room, i) => ({
  name: `model-${room}`,
  comment: `sdk/src/model/${room} imports of model only ${rooms.slice(0, i).join(', ') || 'nothing'} beside itself.`,
  severity: 'error',
  from: { path: `^packages/sdk/src/model/${room}/`, pathNot: TEST },
  to: { path: '^packages/sdk/src/model/', pathNot: `^packages/sdk/src/model/(${rooms.slice(0, i + 1).join('|')})/` },
}));

const layerRules = Object.entries(layers).map(([layer, below]) => ({
  name: `sdk-${layer}`,
  comment: `sdk/src/${layer} imports only ${['runtime', 'files', ...below].filter((name) => name !== layer).join(', ') || 'errors.ts'} beside itself and errors.ts.`,
  severity: 'error',
  from: { path: `^packages/sdk/src/${layer}/`, pathNot: TEST },
  to: {
    path: '^packages/sdk/src/',
    pathNot: `^packages/sdk/src/((errors|knownOptions|checks)[.]ts$|(${[layer, 'platform', ...(layer === 'platform' ? [] : ['runtime', 'files']), ...below].join('|')})/)`,
  },
}));

/** A library that only one place may know, so that it can be replaced there. Tests may use it to check that place. */
const onlyIn = (library, files) => ({
  name: `only-here-${library}`,
  comment: `${library} is imported only by ${files}.`,
  severity: 'error',
  from: { path: '^packages/', pathNot: `${TEST}|${files}` },
  to: { path: `node_modules/${library}/` },
});

/** Packages of this workspace that `name` may not import: all but itself, `allowed`, and in tests the test kit. */
const packageRule = (name, allowed) => ({
  name: `package-${name}`,
  comment: `@onnx-lora/${name} imports of this workspace only ${allowed.map((each) => `@onnx-lora/${each}`).join(', ') || 'itself'}.`,
  severity: 'error',
  from: { path: `^packages/${name}/` },
  to: { path: '^packages/', pathNot: `^packages/(${[name, 'testing', ...allowed].join('|')})/` },
});

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...layerRules,
    ...roomRules,
    {
      name: 'no-core',
      comment: 'What plugins need is exported by the stable entries: our own have no other way.',
      severity: 'error',
      from: { path: '^packages/(vision|speech|sequences|science|text|diffusion|methods|build)/', pathNot: TEST },
      to: { path: '^packages/sdk/src/core[.]ts$' },
    },
    {
      name: 'test-kit',
      comment:
        'Beside tests, only the command imports the test kit: it holds a built graph against the numbers of its checkpoint.',
      severity: 'error',
      from: { path: '^packages/', pathNot: `^packages/(testing|cli|create-onnx-lora-plugin/template)/|${TEST}` },
      to: { path: '^packages/testing/' },
    },
    packageRule('sdk', []),
    packageRule('vision', ['sdk']),
    packageRule('speech', ['sdk', 'sequences']),
    packageRule('testing', ['sdk']),
    packageRule('sequences', ['sdk']),
    packageRule('science', ['sdk', 'sequences']),
    packageRule('text', ['sdk', 'sequences']),
    packageRule('diffusion', ['sdk', 'vision']),
    packageRule('methods', ['sdk']),
    packageRule('build', ['sdk']),
    packageRule('openvino', ['sdk']),
    packageRule('cluster', ['sdk']),
    packageRule('serve', ['sdk']),
    packageRule('cli', [
      'sdk',
      'vision',
      'speech',
      'science',
      'text',
      'diffusion',
      'methods',
      'build',
      'serve',
      'cluster',
    ]),
    // Its template is a plugin, which imports the SDK; the generator itself imports none of the packages.
    packageRule('create-onnx-lora-plugin', ['sdk']),
    {
      name: 'public-entry',
      comment: 'Another package is imported by its name, never by a path into its sources.',
      severity: 'error',
      from: { path: '^packages/([^/]+)/' },
      to: {
        path: '^packages/',
        pathNot: '^packages/($1/|[^/]+/src/((index|tasks|data|plugin|core|composition|platform|page)[.]ts$|fixtures/))',
      },
    },
    onlyIn('onnxruntime-node', '^packages/sdk/src/platform/engine[.]ts$'),
    onlyIn('onnxruntime-web', '^packages/sdk/src/platform/browser/engine[.]ts$'),
    {
      name: 'only-platform',
      comment:
        'Modules of Node are imported by platform, and by modules with a namesake for pages: the rest runs anywhere.',
      severity: 'error',
      from: {
        path: '^packages/(sdk|vision|sequences|text)/src/',
        pathNot: `${TEST}|^packages/vision/src/preprocess/loaderThreads[.]ts$|^packages/sequences/src/data/decompress[.]ts$|^packages/sdk/src/(platform/\\w+|runtime/worker/workerThread|data/threadPool|data/tables/csvRecords)[.]ts$`,
      },
      to: { dependencyTypes: ['core'] },
    },
    onlyIn('koffi', '^packages/openvino/src/api[.]ts$'),
    onlyIn('ml-matrix', '^packages/sdk/src/linalg/decompositions[.]ts$'),
    onlyIn('csv-parse', '^packages/sdk/src/data/tables/(browser/)?csvRecords[.]ts$'),
    onlyIn('tinypool', '^packages/sdk/src/data/threadPool[.]ts$'),
    onlyIn('fflate', '^packages/sdk/src/platform/(browser/compression|pageFiles)[.]ts$'),
    onlyIn('sharp', '^packages/vision/src/image/codec[.]ts$'),
    onlyIn('@rgrove/parse-xml', '^packages/vision/src/data/xml[.]ts$'),
    onlyIn(
      '@huggingface/tokenizers',
      '^packages/(vision/src/.*textTokenizer|diffusion/src/pipeline/clipTokenizer|speech/src/text/subwordTokenizer|sequences/src/tokenizers/jsonTokenizer)[.]ts$',
    ),
    onlyIn('hyparquet', '^packages/sequences/src/data/parquet[.]ts$'),
    onlyIn('hyparquet-compressors', '^packages/sequences/src/data/(parquet|browser/decompress)[.]ts$'),
    onlyIn('@huggingface/jinja', '^packages/text/src/chat/boundedJinja[.]ts$'),
    onlyIn('@rdkit/rdkit', '^packages/science/src/chemistry/rdkit[.]ts$'),
    onlyIn('wavefile', '^packages/speech/src/audio/formats/wav[.]ts$'),
    onlyIn('mpg123-decoder', '^packages/speech/src/audio/formats/mp3/mp3[.]ts$'),
    onlyIn('@wasm-audio-decoders/flac', '^packages/speech/src/audio/formats/flac/flac[.]ts$'),
    onlyIn('@wasm-audio-decoders/ogg-vorbis', '^packages/speech/src/audio/formats/ogg/ogg[.]ts$'),
    onlyIn('opus-decoder', '^packages/speech/src/audio/formats/ogg/opus[.]ts$'),
    onlyIn('inversify', '^packages/sdk/src/composition/scope[.]ts$'),
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-tests-in-code',
      comment: 'Shipped code never imports a test, its fixtures, or what lies outside packages.',
      severity: 'error',
      from: { path: '^packages/', pathNot: TEST },
      to: { path: `${TEST}|^(docs|test)/` },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(packages/[^/]+|docs/examples|test)/dist/|^docs/[.]vitepress/' },
    // Type-only imports count too: a layer that needs the types of a higher one is not below it.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json', '.d.ts'],
    },
  },
};
