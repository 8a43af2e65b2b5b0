for t in "softmax 64" "softmax 256" "layer_norm 256" "stable_softmax 64" "log_sum_exp 256"; do for s in 0 0.003; do echo "== $t $s"; python -P /work/tmp/D_proto.py $t $s; done; done
