"""Metrics against scikit-learn, torchmetrics and the reference's numbers; error bars against formulas; probes that cannot peek."""
import json, os, warnings
from pathlib import Path
import numpy as np, pytest, torch
from scipy.special import expit, softmax
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from audiossl.downstream.metrics import (accuracy, average_precision, bootstrap_se, confusion, d_prime, group_draws, mean_average_precision,
                                         paired_difference, roc_auc)
from audiossl.downstream.probe import (Standardiser, compare, inner_split, knn_probe, knn_scores, linear_probe, linear_scores, logistic_path,
                                       paired_difference_over_tasks)

GOLDEN = Path(os.environ.get('AUDIOSSL_GOLDEN', Path(__file__).parent/'data'/'golden'))
rng = lambda seed=0: np.random.default_rng(seed)

# --- the reference's numbers

def golden(): return json.loads((GOLDEN/'08_downstream.json').read_text())['entries'], np.load(GOLDEN/'08_downstream.npz')

def test_golden_metrics():
    e,z = golden()
    y,logits = z['metric.targets'], z['metric.logits']
    for s in (logits, expit(logits)): # only the order counts
        np.testing.assert_allclose(average_precision(s, y), z['metric.AP_per_class'], atol=1e-12)
        assert float(mean_average_precision(s, y))==pytest.approx(float(z['metric.mAP']), abs=1e-12)
    assert accuracy(logits, z['metric.labels'])==pytest.approx(float(z['metric.ACC']), abs=1e-12)
    assert accuracy(torch.from_numpy(logits), torch.from_numpy(z['metric.labels']))==pytest.approx(float(z['metric.ACC']), abs=1e-12)

def test_golden_empty_class():
    e,z = golden(); note = e['metric.mAP_empty_class']
    y = z['metric.targets'].copy(); y[:,4] = 0
    m = mean_average_precision(z['metric.logits'], y)
    assert m.empty==[4] and float(m)==pytest.approx(note['mAP_if_dropped'], abs=1e-12)
    counted = np.nan_to_num(m.per_class, nan=note['ap_of_empty_class']).mean() # what scikit-learn of today makes of it
    assert counted==pytest.approx(float(z['metric.mAP_empty_class']), abs=1e-12)

# --- other packages as referees

@pytest.mark.parametrize('ties', [False, True])
def test_average_precision_and_auc_against_sklearn(ties):
    r = rng(1)
    for n in (5, 40, 300):
        s,y = r.normal(size=(n,7)), r.random((n,7))<.3
        if ties: s = s.round()
        y[0],y[1] = True,False
        np.testing.assert_allclose(average_precision(s, y), [sk.average_precision_score(y[:,c], s[:,c]) for c in range(7)], atol=1e-12)
        np.testing.assert_allclose(roc_auc(s, y), [sk.roc_auc_score(y[:,c], s[:,c]) for c in range(7)], atol=1e-12)
        w = r.integers(1, 5, size=(3,n))
        want = [[sk.average_precision_score(y[:,c], s[:,c], sample_weight=o) for c in range(7)] for o in w]
        np.testing.assert_allclose(average_precision(s, y, w), want, atol=1e-12)

def test_zero_weights_take_clips_out():
    r = rng(2); s,y = r.normal(size=(50,4)).round(1), r.random((50,4))<.4
    w = r.integers(0, 2, 50); keep = w>0
    np.testing.assert_allclose(average_precision(s, y, w), average_precision(s[keep], y[keep]), atol=1e-12)
    only = np.zeros(50); only[np.flatnonzero(~y[:,0])] = 1
    assert np.isnan(average_precision(s, y, only)[0]) # no true clip is left

def test_against_torchmetrics():
    from torchmetrics.functional import classification as tm
    r = rng(3); s,y = torch.from_numpy(r.normal(size=(200,6))), torch.from_numpy((r.random((200,6))<.3).astype(int))
    assert float(mean_average_precision(s, y))==pytest.approx(float(tm.multilabel_average_precision(s.sigmoid(), y, 6)), abs=1e-5)
    labels = torch.from_numpy(r.integers(0, 6, 200))
    assert accuracy(s, labels)==pytest.approx(float(tm.multiclass_accuracy(s, labels, 6, average='micro')), abs=1e-6)
    np.testing.assert_array_equal(confusion(s, labels), tm.multiclass_confusion_matrix(s, labels, 6).numpy())
    np.testing.assert_array_equal(confusion(s.argmax(1), labels, 9)[:6,:6], sk.confusion_matrix(labels, s.argmax(1), labels=range(6)))

def test_d_prime():
    r = rng(4); y = np.arange(60_000)%2
    assert d_prime(r.normal(size=60_000)+1.7*y, y)==pytest.approx(1.7, abs=.05)
    assert d_prime([0,0,1,1], [0,0,1,1])==np.inf and d_prime([1,0], [0,1])==-np.inf and d_prime([0,0], [0,1])==0

# --- error bars

def test_bootstrap_against_formula():
    r = rng(5); x = r.normal(size=400)
    assert bootstrap_se(x, np.arange(400), n=20_000)==pytest.approx(x.std()/20, rel=.03)
    assert bootstrap_se(np.repeat(x, 3), np.repeat(np.arange(400), 3), n=20_000)==pytest.approx(x.std()/20, rel=.03) # copies tell nothing new
    sizes = r.integers(1, 6, 200); g = np.repeat(np.arange(200), sizes); v = r.normal(size=200)[g] # unequal groups: error of a ratio
    want = np.sqrt((sizes**2*(v[np.r_[0,sizes.cumsum()[:-1]]]-v.mean())**2).sum())/sizes.sum()
    assert bootstrap_se(v, g, n=20_000)==pytest.approx(want, rel=.05)

def test_bootstrap_covers():
    "Two standard errors hold the truth about 19 times in 20."
    r = rng(6); hit = 0
    for k in range(200):
        g = np.repeat(np.arange(60), 3); x = (r.random(60)<.7)[g].astype(float)
        hit += abs(x.mean()-.7) < 1.96*bootstrap_se(x, g, n=200, seed=k)
    assert 178<=hit<=200 # 190 expected, deviation 3

def test_draws_repeat_and_skip_untested():
    g = np.array(list('aabbccdd')); x = np.array([1,0,1,1,0,0,np.nan,np.nan])
    assert bootstrap_se(x, g)==bootstrap_se(x, g)==bootstrap_se(x[:6], g[:6])!=bootstrap_se(x, g, seed=1)
    assert group_draws(g).shape==(1000,8) and (group_draws(g)[:,::2].sum(1)==4).all()

def test_paired_difference():
    r = rng(7); a,b = r.random((3,90))<.7, r.random((2,90))<.6; g = np.arange(90)//3
    d,se = paired_difference(a, b, g)
    assert d==pytest.approx(a.mean()-b.mean()) and se==pytest.approx(bootstrap_se(a.mean(0)-b.mean(0), g))
    assert paired_difference(a, a, g)==(0,0)
    with pytest.raises(ValueError, match='NaN at different clips'): paired_difference(np.where(np.arange(90)==3, np.nan, a), b, g)

# --- probes

def toy(n=240, D=30, K=4, seed=0, tags=False):
    r = rng(seed); g = np.repeat(np.arange(n//3), 3)
    if tags:
        y = (r.random((n//3,K))<.4)[g].astype(np.float32); x = y@r.normal(size=(K,D))+r.normal(size=(n//3,D))[g]
    else:
        y = (np.arange(n//3)%K)[g]; x = r.normal(size=(K,D))[y]*.6+r.normal(size=(n//3,D))[g]
    x = (x+.5*r.normal(size=(n,D))).astype(np.float32)
    fold = rng(1).permutation(n//3)[g]%4
    return x, y, [(np.flatnonzero(fold!=k), np.flatnonzero(fold==k)) for k in range(4)], g

@pytest.mark.parametrize('D', [20, 400]) # fewer and more features than clips
@pytest.mark.parametrize('C', [.01, 1.])
def test_logistic_against_sklearn(D, C):
    x,y,_,_ = toy(D=D); z = Standardiser(x)(x)
    w, = logistic_path(z, y, (C,), tol=1e-6)
    ref = LogisticRegression(C=C, tol=1e-8, max_iter=20_000).fit(z.astype(float), y)
    np.testing.assert_allclose(softmax(z@w[:-1]+w[-1], 1), ref.predict_proba(z), atol=2e-3)
    path = logistic_path(z, y, (.001, C/10, C), tol=1e-6)[-1] # a warm start ends at the same place
    np.testing.assert_allclose(softmax(z@path[:-1]+path[-1], 1), ref.predict_proba(z), atol=2e-3)

def test_tags_are_one_regression_each():
    x,y,_,_ = toy(tags=True); z = Standardiser(x)(x)
    w, = logistic_path(z, y, (.1,), tol=1e-6)
    for c in range(y.shape[1]):
        ref = LogisticRegression(C=.1, tol=1e-8, max_iter=20_000).fit(z.astype(float), y[:,c])
        np.testing.assert_allclose(expit(z@w[:-1,c]+w[-1,c]), ref.predict_proba(z)[:,1], atol=2e-3)

def test_classes_missing_in_training():
    x,y,_,_ = toy()
    p, = linear_scores(x[y!=1], y[y!=1], x, (.1,), 4)
    assert (p[:,1]==0).all(); np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
    t = np.eye(4, dtype=np.float32)[y]; t[:,2],t[:,3] = 0,1
    p, = linear_scores(x, t, x, (.1,), 4)
    assert (p[:,2]==0).all() and (p[:,3]==1).all() and 0<p[:,0].min()<p[:,0].max()<1

def test_knn_against_sklearn():
    x,y,_,_ = toy(); s = Standardiser(x[:150]); a,b = s(x[:150]), s(x[150:])
    for k in (1, 7):
        ref = KNeighborsClassifier(k, metric='cosine', weights=lambda d: np.exp(-d/.07)).fit(a, y[:150])
        np.testing.assert_allclose(knn_scores(x[:150], y[:150], x[150:], (k,), 4)[0], ref.predict_proba(b), atol=1e-4)

def test_standardiser_and_constant_features():
    x,y,_,_ = toy(); x = np.column_stack([x, np.full(len(x), 7.), np.zeros(len(x))]).astype(np.float32)
    z = Standardiser(x)(x)
    assert np.isfinite(z).all() and (z[:,-2:]==0).all()
    np.testing.assert_allclose(z[:,:-2].std(0), 1, atol=1e-4)

@pytest.mark.parametrize('tags', [False, True])
@pytest.mark.parametrize('probe', [linear_probe, knn_probe])
def test_probe_cannot_see_test_labels(probe, tags):
    x,y,splits,g = toy(tags=tags); tr,te = splits[0]
    lied = y.copy(); lied[te] = rng(9).permutation(lied[te])
    assert (lied!=y).any()
    a,b = probe(x, y, [(tr,te)], g), probe(x, lied, [(tr,te)], g)
    np.testing.assert_array_equal(a.scores, b.scores)
    assert a.chosen==b.chosen and a.score!=b.score
    moved = x.copy(); moved[te[1:]] += 5 # nor does a test clip's neighbour in the test matter
    np.testing.assert_allclose(probe(moved, y, [(tr,te)], g).scores[te[0]], a.scores[te[0]], atol=1e-6)

@pytest.mark.parametrize('tags', [False, True])
@pytest.mark.parametrize('probe', [linear_probe, knn_probe])
def test_probe_result(probe, tags):
    x,y,splits,g = toy(tags=tags)
    a,b = probe(x, y, splits, g, seed=3), probe(torch.from_numpy(x), y, iter(splits), g, seed=3)
    np.testing.assert_array_equal(a.scores, b.scores); assert a.chosen==b.chosen and a.score==b.score
    assert a.reweighted(np.ones((1,len(y))))[0]==pytest.approx(a.score)
    if tags:
        assert a.metric=='mAP' and a.score==pytest.approx(np.mean([np.mean(sk.average_precision_score(y[te], a.scores[te], average=None)) for _,te in splits]))
        i = np.flatnonzero(y.any(1)&~y.all(1))[0]
        assert a.per_clip[i]==pytest.approx(sk.label_ranking_average_precision_score(y[[i]], a.scores[[i]]))
    else:
        assert a.score==accuracy(a.predictions, y)==np.trace(a.confusion)/len(y)
        one = probe(x, y, splits[:1], g) # clips never tested stay open
        assert np.isnan(one.per_clip[splits[0][0]]).all() and (one.predictions[splits[0][0]]==-1).all()
        assert one.score==accuracy(a.predictions[splits[0][1]], y[splits[0][1]]) or one.chosen[0]!=a.chosen[0]

def test_the_better_setting_is_chosen():
    x,y,splits,g = toy()
    for grid in ((1e-9, .1), (.1, 1e-9)): assert {o['C'] for o in linear_probe(x, y, splits, g, grid=grid).chosen}=={.1}
    a = linear_probe(x, y, splits, g, seed=5, grid=(1e-4, .01, 1.)) # the inner score can be worked out from outside
    for f,((tr,_),got) in enumerate(zip(splits, a.chosen)):
        held = inner_split(y[tr], g[tr], rng=np.random.default_rng([5,f])); fit,val = tr[~held],tr[held]
        inner = [accuracy(linear_probe(x, y, [(fit,val)], g, grid=(C,)).predictions[val], y[val]) for C in (1e-4, .01, 1.)]
        assert got['inner']==pytest.approx(max(inner), abs=.02) and inner[(1e-4, .01, 1.).index(got['C'])]>=max(inner)-.02

def test_inner_split():
    r = rng(11); g = np.sort(r.integers(0, 120, 400)); y = r.integers(0, 5, 120)[g]
    for s in range(20):
        held = inner_split(y, g, rng=rng(s))
        assert not set(g[held])&set(g[~held])
        assert all(.12<held[y==c].mean()<.38 for c in range(5))
    assert (inner_split(y, g, rng=rng(0))==inner_split(y, g, rng=rng(0))).all()
    assert not inner_split(np.array([0,0,1,1]), np.array([0,0,1,1])).any() # a class of one source is never held out

def test_compare_equals_paired_difference():
    x,y,splits,g = toy(); a = [linear_probe(x, y, splits, g, seed=s) for s in range(3)]; b = [knn_probe(x[:,:5], y, splits, g, seed=s) for s in range(3)]
    np.testing.assert_allclose(compare(a, b), paired_difference([o.per_clip for o in a], [o.per_clip for o in b], g), atol=1e-12)
    with pytest.raises(ValueError, match='same clips'): compare(a, linear_probe(x, y, splits[::-1], g))
    with pytest.raises(ValueError, match='without groups'): compare(linear_probe(x, y, splits), linear_probe(x, y, splits))

def test_difference_over_tasks_draws_shared_groups_together():
    x,y,splits,g = toy(); a,b = linear_probe(x, y, splits, g), knn_probe(x[:,:5], y, splits, g)
    d,se = compare(a, b)
    twice = paired_difference_over_tasks({'one': (a,b), 'same': (a,b)}) # the same task twice tells nothing new ...
    assert twice==pytest.approx((d,se))
    apart = paired_difference_over_tasks({'one': (a,b), 'other': (a,b)}, {'one': g, 'other': g+1000}, n=4000) # ... other recordings do
    assert apart[0]==pytest.approx(d) and apart[1]==pytest.approx(se/2**.5, rel=.1)

def test_refusals():
    x,y,splits,g = toy()
    for match,call in {
        'in training and in test': lambda: linear_probe(x, y, [(np.arange(100), np.arange(100,240))], g),
        'tests a clip that an earlier': lambda: linear_probe(x, y, splits[:1]*2, g),
        'allowed are class numbers': lambda: linear_probe(x, y.astype(float), splits, g),
        'splits: none': lambda: linear_probe(x, y, [], g),
        'no group to spare': lambda: linear_probe(x[:6], np.array([0,0,0,1,1,1]), [(np.arange(6), np.array([], int))], g[:6]),
        'rows hold NaN': lambda: knn_probe(np.full_like(x, np.inf), y, splits, g),
        'at least 2': lambda: bootstrap_se(np.ones(3), np.zeros(3)),
        'none of 2 classes has a true clip': lambda: mean_average_precision(np.ones((3,2)), np.zeros((3,2))),
        'no clip to score': lambda: accuracy([], []),
        'NaN, which has no rank': lambda: average_precision([np.nan, 1.], [0, 1])}.items():
        with pytest.raises(ValueError, match=match): call()

def test_no_warnings():
    x,y,splits,g = toy(D=400)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        linear_probe(x, y, splits, g, grid=(.001,.01,.1,1.)); knn_probe(x, y, splits, g)
        linear_probe(*toy(tags=True)).reweighted(group_draws(g, 50))
