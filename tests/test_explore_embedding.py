"The map of embeddings without a browser: projections, accuracy, what is refused, what a page holds"
import json, re, sys
import numpy as np, pytest, torch
from audiossl.audio import example, load_audio
from audiossl.datasets.minisounds import task
from audiossl.explore.base import picture_hash
from audiossl.explore.embedding import EmbeddingMap, plot_embedding
from audiossl.explore.flatmap import align, coordinates, neighbour_accuracy, project, representations
from audiossl.downstream.portrait import unit_rows

def blobs(n=90, D=12, classes=3, seed=0, noise=1.):
    "(n, D) points around centres, (n,) labels"
    r = np.random.default_rng(seed); y = np.arange(n)%classes
    return (3*r.normal(size=(classes,D))[y] + noise*r.normal(size=(n,D))).astype('f4'), y

class Short:
    "sounds that count how often they are read"
    classes,name = ('a','b','c'),'short'
    def __init__(self, n=90): self.files,self.labels,self.read = [f's{i}' for i in range(n)],np.arange(n)%3,0
    def wave(self, i): self.read += 1; return np.sin(np.arange(1600)*(i+1)/50).astype('f4')

def told(w, asked):
    "What the window answers to a page"
    out = []; w.send = lambda content, buffers=None: out.append((content, buffers)); w._asked(w, asked, []); return out

# ---- the map ------------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('shape', [(60,7), (20,100), (300,40)])
def test_pca_is_the_svd(shape):
    x = np.random.default_rng(0).normal(size=shape)*np.arange(1, shape[1]+1); xy,share = project(x)
    u = unit_rows(x); u = u-u.mean(0); s = np.linalg.svd(u, compute_uv=False)
    assert np.allclose(share, s[:2]**2/(s**2).sum()) and np.allclose((xy**2).sum(0), s[:2]**2)
    assert np.array_equal(project(x)[0], xy) and np.array_equal(project(x, seed=5)[0], xy)

@pytest.mark.parametrize('method', ['PCA','t-SNE'])
@pytest.mark.parametrize('seed', [0,1])
def test_same_seed_same_coordinates(method, seed):
    x = {'a': blobs()[0], 'b': blobs(seed=1)[0]}
    assert picture_hash(coordinates(x, 'b', method, seed)[0])==picture_hash(coordinates(x, 'b', method, seed)[0])
    if method=='t-SNE': assert picture_hash(coordinates(x, 'b', method, seed)[0])!=picture_hash(coordinates(x, 'b', method, seed+5)[0])

def test_aligned_is_the_best_turn_or_mirror():
    r = np.random.default_rng(0); a = align(r.normal(size=(50,2))); b = align(a@np.array([[0,1],[1,0]])+.3*r.normal(size=(50,2)), a)
    assert np.allclose(b.mean(0), 0) and np.isclose((b**2).sum(1).mean(), 1)
    best = min(((a-b@np.array([[np.cos(t),-np.sin(t)],[np.sin(t),np.cos(t)]])@np.diag([1,m]))**2).sum() for t in np.linspace(0, 2*np.pi, 720) for m in (1,-1))
    assert ((a-b)**2).sum()<=best+1e-9

def test_checkpoints_of_one_run_lie_on_each_other():
    "what is only turned comes back exactly; what moved, moves by that much"
    xy = project(blobs()[0])[0]; first = align(xy)
    assert np.allclose(align(xy@np.array([[0,-1],[1,0]])*7+3, first), first, atol=1e-9)
    moved = first.copy(); moved[5] += .5; far = np.linalg.norm(align(moved, first)-first, axis=1); assert far.argmax()==5 and far[5]>.4 and np.median(far)<.05

@pytest.mark.parametrize('folds', [False, True])
@pytest.mark.parametrize('k', [1,5,10])
def test_accuracy_is_scikit_learns(folds, k):
    from sklearn.neighbors import KNeighborsClassifier
    x,y = blobs(noise=4); f = np.random.default_rng(0).integers(0, 4, len(y)) if folds else None
    if folds: want = np.concatenate([KNeighborsClassifier(k, metric='cosine').fit(x[f!=i], y[f!=i]).predict(x[f==i])==y[f==i] for i in (1,2,3)]).mean()
    else: want = np.mean([KNeighborsClassifier(k, metric='cosine').fit(np.delete(x, i, 0), np.delete(y, i)).predict(x[i:i+1])[0]==y[i] for i in range(len(y))])
    assert neighbour_accuracy(x, y, k, f)==want and .3<want<1
    w = EmbeddingMap(Short(), y, {'x': x}, folds=f, k=k); want = neighbour_accuracy(unit_rows(x), y, k, f)
    assert w.data['facts']['x']['knn']==want and w.data['facts']['x']['flat']==neighbour_accuracy(w.xy(), y, k, f, 'euclidean')

def test_representations_are_the_same_each_time():
    waves = [load_audio(example(o))[:8000] for o in ('kick','flute','cat')]; state = torch.random.get_rng_state()
    a,b = representations(waves),representations(waves)
    assert list(a)[:2]==['log-mel statistics','atst_frame_tiny, untrained'] and all(np.array_equal(a[k], b[k]) for k in a) and torch.equal(state, torch.random.get_rng_state())

def test_umap_is_used_when_it_is_there(monkeypatch):
    class Fake:
        def __init__(self, n, **kw): self.kw = kw
        def fit_transform(self, u): return np.random.default_rng(self.kw['random_state']).normal(size=(len(u),2)).astype('f4')
    x,_ = blobs()
    monkeypatch.setitem(sys.modules, 'umap', type(sys)('umap')); sys.modules['umap'].UMAP = Fake
    assert np.array_equal(project(x, 'UMAP', 3)[0], project(x, 'UMAP', 3)[0]) and not np.array_equal(project(x, 'UMAP', 3)[0], project(x, 'UMAP', 4)[0])
    monkeypatch.setitem(sys.modules, 'umap', None)
    with pytest.raises(ValueError, match='pip install umap-learn'): project(x, 'UMAP')

# ---- the window ---------------------------------------------------------------------------------------------------------------------------

def test_window_draws_what_the_library_computes():
    x = {'a': blobs()[0], 'b': blobs(seed=1)[0]}; w = EmbeddingMap(Short(), embeddings=x)
    for space in x:
        w.update(space=space); drawn = np.frombuffer(w.points, '<f4').reshape(2,90,2)[w.data['known'].index(space)]
        assert picture_hash(drawn)==picture_hash(w.xy())==picture_hash(coordinates(x, space)[0])
    w.update(method='t-SNE', seed=2); assert w.data['known']==['b'] and w.data['seed']==2 and w.data['facts']['b']['share'] is None
    assert picture_hash(w.xy())==picture_hash(coordinates(x, 'b', 't-SNE', 2)[0]) and w.error==''

def test_neighbours_sent_are_the_nearest_by_cosine():
    x,_ = blobs(); w = EmbeddingMap(embeddings=x); near = np.frombuffer(w.near, '<u2').reshape(90,10)
    u = unit_rows(x); cos = u@u.T; np.fill_diagonal(cos, -9)
    assert np.array_equal(np.sort(cos[np.arange(90)[:,None],near], 1), np.sort(np.sort(cos, 1)[:,-10:], 1)) and w.data['near']==10

def test_sounds_are_read_when_asked_for():
    s = Short(); w = EmbeddingMap(s, embeddings=blobs()[0]); assert s.read==0
    (content,(wav,)), = told(w, dict(hear=4)); assert s.read==1 and content['heard']==4 and content['seconds']==.1 and wav[:4]==b'RIFF' and len(wav)==44+3200
    import io, soundfile
    assert np.abs(soundfile.read(io.BytesIO(wav))[0]-s.wave(4)).max()<1e-4
    for odd in (dict(hear=90), dict(hear=-1), dict(hear='x'), dict(), dict(hear=1.5)): assert told(w, odd)==[]
    s.wave = lambda i: 1/0
    w.show(s, embeddings=blobs()[0]); assert told(w, dict(hear=2))[0][0]['error']=='s2: division by zero'

def test_selection():
    w = EmbeddingMap(Short(), embeddings=blobs()[0]); w.select(['s7','s3']); assert w.picked==[7,3] and w.selected==['s3','s7']
    with pytest.raises(ValueError, match="'nobody' is no key of this map; keys look like 's0'"): w.select(['nobody'])
    w.show(Short(60), embeddings=blobs(60)[0]); assert w.selected==[]

SAYS = {'empty': (lambda: dict(sounds=[]), 'the dataset is empty'), 'empty task': (lambda: dict(sounds=Short(0)), 'the dataset is empty'), 'empty dict': (lambda: dict(sounds={}), 'the dataset is empty'),
        'labels': (lambda: dict(sounds=Short(), labels=['a']*5), 'labels: 5 for 90 sounds'), 'folds': (lambda: dict(sounds=Short(), folds=np.ones(4)), 'folds: 4 for 90 sounds'),
        'nan': (lambda: dict(sounds=Short(), embeddings={'x': np.where(np.arange(90)[:,None]<2, np.nan, blobs()[0])}), 'x: 2 of 90 embeddings hold NaN or infinity'),
        'fewer': (lambda: dict(sounds=Short(), embeddings=blobs(30)[0]), '30 embeddings for 90 sounds'), 'shape': (lambda: dict(sounds=Short(), embeddings=np.zeros((90,2,2))), r'(n, D) numbers are needed'),
        'text': (lambda: dict(sounds=Short(), embeddings=np.full((90,2), 'x')), r'(n, D) numbers are needed'),
        'one': (lambda: dict(sounds=torch.rand(9000)), '1 point is no map'), 'two': (lambda: dict(embeddings=np.eye(2)), '2 points are no map'), 'tags': (lambda: dict(sounds='minisounds_tags'), 'several labels a sound'),
        'unknown': (lambda: dict(sounds='minisounds_nothing'), 'minisounds_nothing')}

@pytest.mark.parametrize('case', SAYS)
def test_bad_input_is_one_sentence(case):
    make,says = SAYS[case]; good = EmbeddingMap(Short(), embeddings=blobs()[0]); kw = make(); before = good.points,good.data
    assert says in EmbeddingMap(**kw).error
    good.show(kw.pop('sounds', None), **kw)
    assert says in good.error and '\n' not in good.error and (good.points,good.data)==before
    good.show(Short(), embeddings=blobs()[0]); assert good.error==''

def test_bad_settings_keep_the_picture():
    w = EmbeddingMap(Short(), embeddings=blobs()[0]); before = w.points
    for bad,says in [(dict(method='MDS'), 'PCA, t-SNE, UMAP'), (dict(method='PCA', k=0), 'n_neighbors'), (dict(k=5, space='none'), "space='none': there are embeddings")]:
        w.update(**bad); assert says in w.error and w.points==before, bad
    w.update(space=''); assert w.error==''
    many = EmbeddingMap(embeddings=np.random.default_rng(0).normal(size=(3001,3))); many.update(method='t-SNE'); assert 'a window does it for 3,000 at most' in many.error and many.data['method']=='PCA'

def test_some_bad_sounds_are_left_out_with_their_labels():
    waves = {f's{i}': np.sin(np.arange(2000)*(i+1)/30) for i in range(6)} | {'bad': np.array([np.nan])} | {'last': np.ones(900)}; x = np.arange(16.).reshape(8,2)
    w = EmbeddingMap(waves, [*'aabbccdd'], x)
    assert len(w._clips.keys)==7 and w._clips.labels==[*'aabbccd'] and np.array_equal(w._clips.spaces['embeddings'][-1], x[-1]) and 'bad: 1 of 1 samples are NaN' in w.error

def test_names_that_come_twice_stay_apart():
    class Twice(Short): pass
    s = Twice(9); s.files = ['a','a','b']*3; w = EmbeddingMap(s, embeddings=blobs(9)[0]); assert len(set(w._clips.keys))==9 and w._clips.keys[:3]==['a','a (2)','b']

def test_a_collapsed_encoder_is_a_map_of_one_spot():
    w = EmbeddingMap(Short(), embeddings=np.ones((90,4))); assert w.error=='' and not w.xy().any()
    w.update(method='t-SNE'); assert 'all embeddings are the same' in w.error and w.data['method']=='PCA'

def test_a_page_holds_some_sounds_and_stays_small():
    w = EmbeddingMap(); page = w.page(); state = json.loads(re.search(r'staticModel\((.*)\), el:', page)[1])
    assert len(w.render_static())<1_000_000 and 24<=len(state['clips'])<=202 and len(state['sounds'])==202
    labels = np.frombuffer(w.kinds, '<u2')[[c[0] for c in state['clips']]]; assert np.bincount(labels).min()>=len(labels)//6-1             # of every label as many
    with pytest.raises(ValueError, match='too many for a page'): EmbeddingMap(embeddings=np.random.default_rng(0).normal(size=(3001,3))).page()

def test_many_points_are_taken_quickly_enough():
    "fifty thousand: no list of neighbours, the accuracy of a part"
    x,y = blobs(50_000, 8, 12); w = EmbeddingMap(embeddings=x, labels=y); assert w.error=='' and w.near==b'' and len(w.points)==400_000 and w.data['facts']['embeddings']['knn']>.8

def test_twin_says_what_the_window_says():
    x,y = blobs(); w = EmbeddingMap(Short(), embeddings=x); w.select(['s0','s4']); w.update(hidden=['b']); ax = w.plot()
    assert [t.get_text() for t in ax.get_legend().get_texts()]==['a','c']
    shown = np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections[:2]]); assert np.allclose(np.sort(shown, 0), np.sort(w.xy()[y!=1], 0)) and len(ax.collections[2].get_offsets())==1
    whole = EmbeddingMap(Short(), embeddings=x).plot(); assert np.array_equal(ax.collections[1].get_facecolor(), whole.collections[2].get_facecolor())       # a colour stays a label's
    assert plot_embedding(x[:,:2], ['$x_1$']*90).get_legend() is not None

def test_labels_of_tasks_and_folds_are_taken():
    t = task('minisounds_percussion'); x = np.random.default_rng(0).normal(size=(len(t),6)); w = EmbeddingMap('minisounds_percussion', embeddings=x)
    assert w.data['folds']==5 and w._clips.keys==t.files and w.data['facts']['embeddings']['knn']==neighbour_accuracy(unit_rows(w._clips.spaces['embeddings']), t.labels, 5, t.folds)
