"The bundled sounds: nothing leaks, nothing is missing, everything is credited"
import hashlib, re, shutil, time
from collections import Counter
import numpy as np, pytest, soundfile as sf, torch
from torch.utils.data import DataLoader
from audiossl import audio, datasets
from audiossl.datasets import minisounds as ms

ROOT = audio.data_path()
ROWS = ms.metadata()
CLIPS = [n for n in ms.task_names() if n!='minisounds_tags']
GROUP = {r['file']:r['group'] for r in ROWS}
SIZES = dict(minisounds=28, minisounds_nonspeech=24, minisounds_family=10, minisounds_family_unseen=10, minisounds_percussion=6,
             minisounds_environment=5, minisounds_finals=10, minisounds_initials=19, minisounds_chroma=12, minisounds_octave=8, minisounds_tags=26)

# ---- the folder

def test_readme_counts():
    "Each `class clips/sources` of the README's list is what the table holds"
    text = (ROOT/'README.md').read_text(encoding='utf-8')
    said = {c:(int(a),int(b)) for c,a,b in re.findall(r'(\w+) (\d+)/(\d+)', text[text.index('## Classes'):text.index('Cut-ups')])}
    have = {c:(sum(r['label']==c for r in ROWS), len({r['group'] for r in ROWS if r['label']==c})) for c in {r['label'] for r in ROWS}}
    assert said==have and len(ROWS)==1025
    assert sorted(sum(ms.SOUND_CLASSES.values(), ()))==sorted(have)

def test_folder_and_table_agree():
    on_disk = {p.relative_to(ROOT).as_posix() for p in (ROOT/'audio').rglob('*') if p.is_file()}
    assert on_disk=={r['file'] for r in ROWS} and len(on_disk)==len(ROWS)

def test_every_clip_reads_and_lasts_as_said():
    for r in ROWS:
        i = sf.info(str(ROOT/r['file'])); x = ms.read_clip(r['file'])
        assert (i.samplerate, i.channels)==(16000, 1) and x.dtype==torch.float32 and x.ndim==1 and len(x)==i.frames
        assert abs(len(x)/16000-float(r['duration']))<=.00051 and x.isfinite().all() and .5<x.abs().max()<=1, r['file']

def test_no_two_clips_are_the_same_sound():
    sums = Counter(hashlib.sha1(ms.read_clip(r['file']).numpy().tobytes()).hexdigest() for r in ROWS)
    assert max(sums.values())==1

def test_licences_and_attribution():
    text = (ROOT/'ATTRIBUTION.md').read_text(encoding='utf-8')
    said = {(p,l):int(n) for p,l,n in re.findall(r'^## (.+): (.+), (\d+) clips$', text, re.M)}
    assert said==Counter((r['package'],r['licence']) for r in ROWS)
    texts = {'CC0-1.0':'CC0-1.0', 'CC-BY-3.0':'CC-BY-3.0', 'MIT':'MIT-FluidR3', 'BSD-2-Clause':'BSD-2-Clause-pocketsphinx',
             'BSD-like (festvox-ru)':'BSD-like-festvox-ru'}
    assert {r['licence'] for r in ROWS}==set(texts) # no ShareAlike, no NonCommercial, no GPL
    for t in texts.values(): assert len((ROOT/'LICENCES'/f'{t}.txt').read_text(encoding='utf-8'))>400
    assert all(r['author'].strip() and r['original'].strip() for r in ROWS)
    many = ('minetest-data', 'openttd-opensfx (source)', 'gcompris-qt-data') # sets of many authors
    for r in ROWS:
        if r['package'] in many and r['licence']=='CC-BY-3.0': assert r['author'] in text, r['author']
        assert r['licence'] in (c:=ms.credit(r['file'])) and r['author'].rstrip('.') in c

# ---- splits

@pytest.mark.parametrize('name', CLIPS)
def test_no_source_on_both_sides(name):
    t = ms.task(name)
    pairs = [*t.splits(), t.holdout()]
    assert len(pairs)==(2 if name.endswith('unseen') else 6)
    for train,test in pairs:
        assert len(train) and len(test) and not set(train) & set(test)
        assert not set(t.groups[train]) & set(t.groups[test])
        assert all(GROUP[f]==g for f,g in zip(t.files, t.groups))
    if not name.endswith('unseen'): assert sorted(np.concatenate([te for _,te in t.splits()]))==list(range(len(t)))

def test_a_planted_leak_is_seen():
    "The check above can fail: folds dealt by clip do cut sources"
    t = ms.task('minisounds_finals')
    f = ms.group_folds(t.labels, t.files)
    assert set(t.groups[f==1]) & set(t.groups[f!=1])

def test_metadata_splits_do_not_cut_sources():
    assert len({(r['group'],r['split']) for r in ROWS})==len(set(GROUP.values()))

def test_unseen_instruments():
    t = ms.task('minisounds_family_unseen'); by = {r['file']:r for r in ROWS}
    (train,test), = t.splits()
    assert not {by[t.files[i]]['instrument'] for i in train} & {by[t.files[i]]['instrument'] for i in test}
    assert len(t)==276 # 3 of the 279 notes are near copies across the two sides, and left out

@pytest.mark.parametrize('name', [n for n in CLIPS if not n.endswith('unseen')])
def test_folds_are_stratified(name):
    t = ms.task(name)
    n = np.array([[np.sum((t.folds==k) & (t.labels==c)) for k in range(1, 6)] for c in range(len(t.classes))])
    sources = [len(set(t.groups[t.labels==c])) for c in range(len(t.classes))]
    biggest = [max(Counter(t.groups[t.labels==c]).values()) for c in range(len(t.classes))]
    for c,row in enumerate(n):
        if sources[c]>=7: assert row.min()>=1, (t.classes[c], row)
        assert row.max()-row.min()<=max(3, biggest[c]+2), (t.classes[c], row)
    size = n.sum(0)
    assert size.max()-size.min()<=max(4, .05*len(t))

def test_tasks_never_change():
    "The same keys, labels, folds and recipes on every machine and with every library version: pinned"
    def mark(t):
        what = t.files, t.labels.astype(int).tolist(), t.folds.tolist(), t.groups.tolist(), t.recipes
        return hashlib.sha1(repr(what).encode()).hexdigest()[:10]
    assert {n:mark(ms.task(n)) for n in ms.task_names()}==PINS

def test_folds_do_not_depend_on_row_order():
    t = ms.task('minisounds'); p = np.random.default_rng(0).permutation(len(t))
    assert (ms.group_folds(t.labels[p], t.groups[p])==t.folds[p]).all()

def test_labels_and_sizes():
    assert {n:len(ms.task(n).classes) for n in ms.task_names()}==SIZES
    for n in CLIPS:
        t = ms.task(n)
        assert t.labels.dtype==np.int64 and set(t.labels)==set(range(SIZES[n])) and not t.multi_label and len(t.files)==len(set(t.files))
    by = {r['file']:r for r in ROWS}
    t = ms.task('minisounds_chroma'); i = next(i for i,f in enumerate(t.files) if by[f]['pitch_midi']=='69')
    assert t.classes[t.labels[i]]=='A'
    t = ms.task('minisounds_octave'); i = next(i for i,f in enumerate(t.files) if by[f]['pitch_midi']=='60')
    assert t.classes[t.labels[i]]=='4'

# ---- scenes

def test_scenes_do_not_share_sources():
    t = ms.task('minisounds_tags'); split = {r['file']:r['split'] for r in ROWS}
    home = {}
    for key,recipe,fold,side in zip(t.files, t.recipes, t.folds, t.split):
        assert 1<=len({GROUP[f] for f,*_ in recipe})<=3
        for f,*_ in recipe:
            assert home.setdefault(GROUP[f], (key,fold))==(key,fold) # one scene, so one fold
            assert (split[f]=='test')==(side=='test')
    assert set(t.folds)=={1,2,3,4,5}
    for train,test in t.splits(): assert t.labels[test].any(0).all() and t.labels[train].any(0).all() # each class on both sides

def test_scenes_hold_what_the_label_says():
    t = ms.task('minisounds_tags'); label = {r['file']:r['label'] for r in ROWS}
    assert t.labels.dtype==np.float32 and t.labels.shape==(len(t), 26) and t.multi_label
    for y,recipe in zip(t.labels, t.recipes):
        assert {t.classes[c] for c in np.flatnonzero(y)}=={label[f] for f,*_ in recipe}
        for f,l,onset,level in recipe: assert l==label[f] and 0<=onset<3 and -12<=level<=0
    for w in t.waves(): assert w.shape==(48000,) and w.isfinite().all() and abs(w.abs().max()-.7)<1e-5

def test_a_scene_is_the_sum_of_its_clips():
    t = ms.task('minisounds_tags'); i = next(i for i,r in enumerate(t.recipes) if len(r)==1)
    (f,_,onset,_), = t.recipes[i]; x = ms.read_clip(f)[:32000]; at = round(onset*16000)
    y = t.wave(i)[at:at+len(x)-320]; x = x[:-320]
    assert torch.corrcoef(torch.stack([x,y]))[0,1]>.99999

# ---- datasets and files

@pytest.mark.parametrize('name', list(SIZES))
def test_creators(name):
    info = datasets.get_dataset(name)
    assert info.num_labels==SIZES[name] and info.num_folds==(1 if name.endswith('unseen') else 5) and info.multi_label==(name=='minisounds_tags')
    t = ms.task(name)
    for fold in info.folds:
        parts = {s:info.creator(split=s, fold=fold) for s in ('train','valid','test')}
        assert sorted(np.concatenate([p.index for p in parts.values()]))==list(range(len(t)))
        for a,b in (('train','valid'), ('train','test'), ('valid','test')): assert not set(t.groups[parts[a].index]) & set(t.groups[parts[b].index])
        assert all(len(p)>=15 for p in parts.values())
    plain = info.creat_fn(split='valid')[0]
    x,y,key = info.creat_fn(split='valid', return_key=True, transform=lambda w: w*2, target_transform=lambda x, y: (x+1, ('seen', y)))[0]
    assert x.shape[0]==1 and x.dtype==torch.float32 and torch.equal(x, 2*plain[0]+1) and y[0]=='seen' and isinstance(key, str)
    assert type(y[1]) is int if not info.multi_label else y[1].shape==(26,)
    with pytest.raises(ValueError, match="split='training'"): info.creator(split='training')
    with pytest.raises(ValueError, match=f'fold=0: 1 to {info.num_folds}'): info.creator(fold=0)

def test_workers_give_the_same():
    ds = datasets.get_dataset('minisounds_environment').creator(split='test')
    def read(n): return [(float(x.sum()), y) for x,y in DataLoader(ds, batch_size=None, num_workers=n)]
    assert read(0)==read(2)

def test_pool_has_no_test_sound_of_a_holdout():
    pool = ms.pretraining_pool(); keys = {k for k,_ in pool}
    assert len(pool)==774 and {GROUP[k] for k in keys}.isdisjoint(r['group'] for r in ROWS if r['split']=='test')
    for n in CLIPS:
        t = ms.task(n)
        assert not {t.files[i] for i in t.holdout()[1]} & keys
    t = ms.task('minisounds_tags')
    assert not {f for i in t.holdout()[1] for f,*_ in t.recipes[i]} & keys

def test_a_copy_elsewhere_and_a_broken_one(tmp_path):
    to = tmp_path/'mine'; shutil.copytree(ROOT, to)
    a,b = ms.task('minisounds_percussion'),ms.task('minisounds_percussion', to)
    assert a.files==b.files and (a.folds==b.folds).all() and torch.equal(a.wave(3), b.wave(3))
    assert len(datasets.get_dataset('minisounds_tags').creator(str(to), split='test')[0][0][0])==48000
    broken = tmp_path/'broken'; shutil.copytree(ROOT, broken, ignore=shutil.ignore_patterns('kick_00*'))
    with pytest.raises(FileNotFoundError, match='9 of 1025 sounds are missing in .*broken, first audio/kick/kick_001.ogg'): ms.metadata(broken)
    with pytest.raises(FileNotFoundError, match='no metadata.csv in .*; a copy of the minisounds folder is needed'):
        datasets.get_dataset('minisounds').creator(tmp_path/'none')

def test_what_is_handed_out_is_a_copy():
    ms.metadata()[0]['label'] = 'x'; ms.read_clip(ROWS[0]['file']).zero_()
    assert ms.metadata()[0]['label']=='animal' and ms.read_clip(ROWS[0]['file']).abs().max()>.3

def test_errors_of_names():
    with pytest.raises(KeyError, match='no task .minisound.; the tasks are minisounds, '): ms.task('minisound')
    with pytest.raises(ValueError, match='a tuple of'): ms.pretraining_pool('train')
    with pytest.raises(ValueError, match='not in metadata.csv'): ms.credit('nothing.ogg')
    with pytest.raises(ValueError, match='n_folds=1: 2 to 2'): ms.group_folds([0,1], ['a','b'], 1)

def test_reading_again_costs_nothing():
    "The second pass over all clips copies, it does not decode"
    files = [r['file'] for r in ROWS[::10]]
    for f in files: ms.read_clip(f)
    t0 = time.process_time()
    for f in files: ms.read_clip(f)
    t1 = time.process_time()
    for f in files: audio.load_audio(ROOT/f)
    assert t1-t0 < (time.process_time()-t1)/3

PINS = dict(
    minisounds='eb9ba26a4a', minisounds_nonspeech='aa60dbe9bd', minisounds_family='289ddf1973',
    minisounds_family_unseen='07131a0bf5', minisounds_percussion='00ac25b517', minisounds_environment='c1fe706613',
    minisounds_finals='a8b66144fd', minisounds_initials='71d6b60a4a', minisounds_chroma='33d0a9bd36',
    minisounds_octave='a0bb8761c5', minisounds_tags='09f60218d6')

@pytest.mark.parametrize('name,fold', [('minisounds_percussion',2), ('minisounds_tags',1)])
@pytest.mark.parametrize('pair', [False,True])
def test_mixing_labels_through_the_data_module(name, fold, pair):
    "`target_transforms=[tr, None, None]`: pictures and labels of training change together, whether a transform gives a picture or (picture, frames)"
    from audiossl.lightning.datamodules import DownstreamDataModule
    from audiossl.transforms import LogMel
    from audiossl.transforms.label_mix import FinetuneTargetTransform, MixupSpecLabel
    from audiossl.transforms.views import EvalView
    C,view = SIZES[name], EvalView() if pair else LogMel()
    seen = []
    class Half(MixupSpecLabel):             # with the sound before, half and half
        def draw(self, n, rng=None): return dict(weight=.5, partner=len(self.bank)-1 if self.bank else None, start=0)
        def apply(self, x, y, p): seen.append((x, y)); return super().apply(x, y, p)
    half = Half(num_classes=C)
    dm = DownstreamDataModule(None, name, 4, [view]*3, [half,None,None], fold, sampler=range(4))
    (x,n),y = next(iter(dm.train_dataloader()))
    assert y.shape==(4,C) and y.dtype==torch.float32
    one = lambda i: torch.nn.functional.one_hot(torch.tensor(seen[i][1]), C).float() if isinstance(seen[i][1], int) else seen[i][1]
    for i in range(4):
        T = seen[i][0].shape[-1]
        assert n[i]==T and torch.equal(y[i], one(i) if not i else (one(i)+one(i-1))/2)
        a,b = seen[i][0], seen[max(i-1, 0)][0]; m = min(T, b.shape[-1])
        want = a.clone(); want[...,:m] = (a[...,:m]+b[...,:m])/2
        torch.testing.assert_close(x[i][...,:T], want if i else a, rtol=0, atol=1e-6)
    (x,n),y = next(iter(dm.val_dataloader()))
    assert y.shape==((4,) if C==6 else (4,C)) and set(y.unique().tolist())<=set(range(C))      # not mixed
    dm = DownstreamDataModule(None, name, 8, [view]*3, [FinetuneTargetTransform(num_classes=C),None,None], fold, num_workers=2)
    (x,n),y = next(iter(dm.train_dataloader()))
    assert x.shape[:3]==(8,1,64) and y.shape==(8,C) and x.isfinite().all()
    with pytest.raises(TypeError, match='takes .picture, label. and gives'): DownstreamDataModule(None, name, 4, [view]*3, [lambda x, y: y,None,None], fold).dataset_train[0]
